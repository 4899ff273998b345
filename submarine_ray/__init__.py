"""Machine learning on Ray: experiments, tracking, models and serving.

    import submarine_ray as submarine

    handle = submarine.run("python train.py", workers=2, working_dir=".")
    handle.wait()

Importing this pulls in neither Ray nor torch nor MLflow: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from submarine_ray.client.errors import ApiError, ClientError, ExperimentFailed, ServiceUnreachable
    from submarine_ray.client.experiments import ExperimentClient
    from submarine_ray.client.run import ExperimentHandle, run
    from submarine_ray.client.tracking import log_metric, log_param, save_model

__all__ = [
    "ApiError",
    "ClientError",
    "ExperimentClient",
    "ExperimentFailed",
    "ExperimentHandle",
    "ServiceUnreachable",
    "log_metric",
    "log_param",
    "run",
    "save_model",
]

_HOMES = {
    "ApiError": "errors",
    "ClientError": "errors",
    "ExperimentFailed": "errors",
    "ServiceUnreachable": "errors",
    "ExperimentClient": "experiments",
    "ExperimentHandle": "run",
    "run": "run",
    "log_metric": "tracking",
    "log_param": "tracking",
    "save_model": "tracking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'submarine_ray' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"submarine_ray.client.{_HOMES[name]}"), name)
    globals()[name] = value  # the next use finds it without asking here
    return value
