"""`SubmarineClient`: tracking and serving from outside an experiment, with Submarine's signatures."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

from submarine_ray.client import tracking
from submarine_ray.client.errors import ClientError
from submarine_ray.client.http import PATIENCE_SECONDS, Service, own_token
from submarine_ray.client.mlflow_rest import MlflowRest
from submarine_ray.client.models import ServeClient
from submarine_ray.client.spool import Run, TrackingRefused
from submarine_ray.spec.records import Metric, Param, Record
from submarine_ray.spec.tags import REPLICA_TAG


class SubmarineClient:
    """Logs to experiments by their ids, saves models, and serves them.

    Args:
        db_uri: accepted for Submarine's sake, and not used.
        s3_registry_uri: accepted for Submarine's sake, and not used.
        aws_access_key_id: accepted for Submarine's sake, and not used.
        aws_secret_access_key: accepted for Submarine's sake, and not used.
        host: the control service's URL, as of ExperimentClient.
        token: the token for it.
        patience: seconds to try again for while the service does not answer.

    Source: Submarine's "Submarine Client".
    """

    def __init__(
        self,
        db_uri: str | None = None,
        s3_registry_uri: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        host: str | None = None,
        token: str | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.service = Service(host, token, patience)
        self._serve = ServeClient(host, token, patience)
        self._token = token or own_token(self.service.host)
        self._runs: dict[tuple[str, str], tuple[MlflowRest, str]] = {}
        self._lock = threading.Lock()  # one connection a run: requests take turns

    def log_metric(
        self,
        job_id: str,
        key: str,
        value: float,
        worker_index: str,
        timestamp: datetime | None = None,
        step: int = 0,
    ) -> None:
        """Log one value of a metric of an experiment's replica.

        Args:
            job_id: the experiment.
            key: the metric's name, as of `submarine_ray.log_metric`.
            value: a number, as of `submarine_ray.log_metric`.
            worker_index: the replica: `worker-0`.
            timestamp: when it was measured; default now.
            step: the training step.

        Raises:
            TypeError, ValueError: as of `submarine_ray.log_metric`.
            ApiError, ServiceUnreachable: there is no such experiment; the service does not answer.
            ClientError: the experiment has not started, or the tracking server refuses the value.
        """
        ms = int(timestamp.timestamp() * 1000) if timestamp else None
        self._log("runs/log-metric", job_id, worker_index, Metric.checked(key, value, step, ms))

    def log_param(self, job_id: str, key: str, value: str, worker_index: str) -> None:
        """Log a parameter of an experiment's replica; arguments and errors as of `log_metric`."""
        self._log("runs/log-parameter", job_id, worker_index, Param.checked(key, value))

    def save_model(
        self,
        model: Any,
        model_type: str,
        registered_model_name: str | None = None,
        input_dim: list[int] | None = None,
        output_dim: list[int] | None = None,
    ) -> None:
        """Save a model with the experiment that this process belongs to; see `submarine_ray.save_model`."""
        tracking.save_model(model_type, model, registered_model_name, input_dim, output_dim)

    def create_serve(self, model_name: str, model_version: int, async_req: bool = True) -> Any:
        """Serve a version; `.get()` of the answer has its urls, or the answer itself with `async_req=False`."""
        return self._serve.create_serve(model_name, model_version, async_req)

    def delete_serve(self, model_name: str, model_version: int, async_req: bool = True) -> Any:
        """Stop serving a version."""
        return self._serve.delete_serve(model_name, model_version, async_req)

    def _log(self, path: str, job_id: str, worker_index: str, record: Record) -> None:
        with self._lock:
            try:
                rest, run_id = self._run(job_id, worker_index)
                rest.post(path, {"run_id": run_id, **record.body()})
            except (TrackingRefused, OSError) as failure:
                self._runs.pop((job_id, worker_index), None)
                raise ClientError(f"{job_id}: {record} was not stored: {failure}") from failure

    def _run(self, job_id: str, worker_index: str) -> tuple[MlflowRest, str]:
        """A connection, and the run of one replica of an experiment."""
        known = self._runs.get((job_id, worker_index))
        if known is None:
            run_id = self.service.call("GET", f"/api/v1/experiment/{job_id}")["runId"]
            if run_id is None:
                raise ClientError(f"{job_id} has not started yet, so there is no run to log to")
            run = Run(f"{self.service.host}/mlflow", run_id, "", job_id, worker_index, False, self._token)
            rest = MlflowRest(run)
            found = rest.get(f"runs/get?run_id={run_id}")["run"]
            leader = {tag["key"]: tag["value"] for tag in found["data"].get("tags", ())}.get(REPLICA_TAG)
            run = replace(
                run, mlflow_experiment_id=found["info"]["experiment_id"], is_leader=leader in (None, worker_index)
            )
            known = self._runs[job_id, worker_index] = rest, rest.replica_run(run)
        return known
