"""`submarine.tracking`, where Submarine has these names too."""

from submarine_ray import (
    SubmarineClient,
    get_tracking_uri,
    log_metric,
    log_param,
    save_model,
    set_tracking_uri,
)

__all__ = ["SubmarineClient", "get_tracking_uri", "log_metric", "log_param", "save_model", "set_tracking_uri"]
