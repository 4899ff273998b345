"""Takes batches of points from runners into the store."""

from __future__ import annotations

from submarine_ray.core.errors import InvalidSpec, TrackingUnavailable
from submarine_ray.tracking.batches import checked_writer, expanded, parsed
from submarine_ray.tracking.failures import translated
from submarine_ray.tracking.points import MetricPoints
from submarine_ray.tracking.service import TrackingService


class Intake:
    """What the endpoints of a run's batches do. Its methods wait for the database: call them on a thread."""

    def __init__(self, tracking: TrackingService) -> None:
        self._tracking = tracking

    def take(self, run_id: str, body: bytes, encoding: str) -> int:
        """Store a batch, once; its writer's last sequence number then.

        Raises InvalidSpec, TooLarge: the batch cannot be stored as it is. Raises as `MetricPoints.append`.
        """
        points = self._points(run_id)
        return points.append(run_id, parsed(expanded(body, encoding), _check_key))

    def stored(self, run_id: str, writer: str) -> int:
        """The last sequence number of a writer's that is stored; 0 before the first. Raises NotFound, InvalidSpec."""
        points = self._points(run_id)
        return points.stored(run_id, checked_writer(writer))

    def _points(self, run_id: str) -> MetricPoints:
        if not self._tracking.is_ready:  # senders come again; a thread that waits would be missing elsewhere
            raise TrackingUnavailable("MLflow is still starting; try again in a moment.")
        from mlflow.utils.validation import _validate_run_id

        with translated():
            _validate_run_id(run_id)
        return self._tracking.points


def _check_key(key: str, number: int) -> None:
    """Raises InvalidSpec for what MLflow would not take as a metric's name."""
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

    if len(key) > MAX_ENTITY_KEY_LENGTH:  # before a pattern sees it
        raise InvalidSpec(f"it has {len(key)} characters; at most {MAX_ENTITY_KEY_LENGTH} are kept", f"keys[{number}]")
    with translated():
        _validate_metric_name(key, f"keys[{number}]")
