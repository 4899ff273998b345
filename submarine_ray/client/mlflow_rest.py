"""The few MLflow calls that shipping metrics needs. Only the standard library: this runs beside every replica."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from submarine_ray.client.spool import Run, TrackingRefused

REQUEST_SECONDS = 30


class MlflowRest:
    """One kept connection to a run's tracking server."""

    def __init__(self, run: Run) -> None:
        parts = urlsplit(run.uri)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=REQUEST_SECONDS)
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if run.token:
            self._headers["Authorization"] = f"Bearer {run.token}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises OSError when the server cannot be reached, TrackingRefused when it says no."""
        return self._call("POST", path, json.dumps(body))

    def get(self, path: str) -> dict[str, Any]:
        """Raises as `post`."""
        return self._call("GET", path, None)

    def _call(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        try:
            self._connection.request(method, f"{self._prefix}/api/2.0/mlflow/{path}", body, self._headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as failure:
            self._connection.close()
            raise OSError(f"no answer that HTTP knows: {failure}") from failure
        except OSError:
            self._connection.close()
            raise
        if answer.status in (429, 500, 502, 503, 504):
            raise OSError(f"HTTP {answer.status} from {path}")
        if answer.status != 200:
            raise TrackingRefused(f"HTTP {answer.status}: {content[:500].decode(errors='replace')}")
        return dict(json.loads(content or b"{}"))

    def replica_run(self, run: Run) -> str:
        """The run that a replica's records belong to: the leader's is the experiment's own."""
        if run.is_leader:
            return run.run_id
        found = self.post(
            "runs/search",
            {
                "experiment_ids": [run.mlflow_experiment_id],
                "filter": f"tags.`submarine.experiment_id` = '{run.experiment_id}' "
                f"and tags.`submarine.replica` = '{run.replica}'",
                "max_results": 1,
            },
        )
        if found.get("runs"):
            return str(found["runs"][0]["info"]["run_id"])
        tags = {
            "submarine.experiment_id": run.experiment_id,
            "submarine.replica": run.replica,
            "mlflow.parentRunId": run.run_id,
        }
        made = self.post(
            "runs/create",
            {
                "experiment_id": run.mlflow_experiment_id,
                "run_name": f"{run.experiment_id}-{run.replica}",
                "start_time": time.time_ns() // 1_000_000,
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            },
        )
        return str(made["run"]["info"]["run_id"])
