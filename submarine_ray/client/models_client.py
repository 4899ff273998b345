"""`ModelsClient`: Submarine's older interface to runs and models, over MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from submarine_ray.client import tracking
from submarine_ray.client.http import default_host
from submarine_ray.client.mlflow_rest import MlflowRest
from submarine_ray.client.spool import Run


class ModelsClient:
    """Logs to the experiment's run, or to one of its own outside of experiments, and manages models.

    Args:
        tracking_uri: an MLflow server; default the experiment's, else the control service's.
        registry_uri: where models are registered; default `tracking_uri`.

    Source: Submarine's "Model Client".
    """

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        import mlflow

        self._mlflow = mlflow
        tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{default_host()}/mlflow"
        mlflow.set_tracking_uri(_http(tracking_uri))
        mlflow.set_registry_uri(_http(registry_uri or tracking_uri))

    def start(self) -> Any:
        """Return MLflow's active run, for a `with`: the replica's own in an experiment, a new one elsewhere."""
        if active := self._mlflow.active_run():  # `save_model` has begun it
            return active
        run = Run.from_env(os.environ)
        return self._mlflow.start_run(run_id=MlflowRest(run).replica_run(run) if run else None)

    def log_param(self, key: str, value: Any) -> None:
        """Log a parameter of the run."""
        self._mlflow.log_param(key, value)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log several parameters of the run."""
        self._mlflow.log_params(dict(params))

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log one value of a metric of the run."""
        self._mlflow.log_metric(key, value, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one value of each of several metrics of the run."""
        self._mlflow.log_metrics(dict(metrics), step)

    def save_model(
        self,
        model_type: str,
        model: Any,
        artifact_path: str = "model",
        registered_model_name: str | None = None,
        input_dim: list[int] | None = None,
        output_dim: list[int] | None = None,
    ) -> None:
        """Save a model with the run; see `submarine_ray.save_model`, whose `name` is Submarine's `artifact_path`."""
        tracking.save_model(model_type, model, registered_model_name, input_dim, output_dim, name=artifact_path)

    def load_model(self, name: str, version: int | str) -> Any:
        """Load a version as MLflow's pyfunc. Formats other than `pt2` may run code: load what you trust."""
        return self._mlflow.pyfunc.load_model(f"models:/{name}/{version}")

    def update_model(self, name: str, new_name: str) -> None:
        """Rename a model; versions and tags follow."""
        self._mlflow.MlflowClient().rename_registered_model(name, new_name)

    def delete_model(self, name: str, version: int | str) -> None:
        """Delete a version of a model."""
        self._mlflow.MlflowClient().delete_model_version(name, str(version))


def _http(uri: str) -> str:
    """Submarine's examples leave the scheme out: `0.0.0.0:4000`."""
    return uri if "://" in uri else f"http://{uri}"
