"""The few MLflow calls that shipping metrics needs. Only the standard library: this runs beside every replica."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from submarine_ray.client.spool import Run, TrackingRefused
from submarine_ray.spec.tags import PARENT_TAG, REPLICA_TAG

REQUEST_SECONDS = 30
_API = "/api/2.0/mlflow/"


class ServerUnavailable(OSError):
    """A server that answered, and cannot serve now; `content` is the body of its answer."""

    def __init__(self, why: str, content: bytes) -> None:
        super().__init__(why)
        self.content = content


class MlflowRest:
    """One kept connection to a run's tracking server."""

    def __init__(self, run: Run) -> None:
        parts = urlsplit(run.uri)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=REQUEST_SECONDS)
        self.prefix = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if run.token:
            self._headers["Authorization"] = f"Bearer {run.token}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises OSError when the server cannot be reached, TrackingRefused when it says no."""
        return self.call("POST", f"{self.prefix}{_API}{path}", json.dumps(body))

    def get(self, path: str) -> dict[str, Any]:
        """Raises as `post`."""
        return self.call("GET", f"{self.prefix}{_API}{path}")

    def call(
        self, method: str, path: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Any request on the kept connection that is answered with JSON. Raises as `post`."""
        try:
            self._connection.request(method, path, body, {**self._headers, **(headers or {})})
            answer = self._connection.getresponse()
            content = answer.read()
        except http.client.HTTPException as failure:
            self._connection.close()
            raise OSError(f"no answer that HTTP knows: {failure}") from failure
        except OSError:
            self._connection.close()
            raise
        if answer.status in (429, 500, 502, 503, 504):
            raise ServerUnavailable(f"HTTP {answer.status} from {path}", content)
        if answer.status != 200:
            raise TrackingRefused(_why(answer.status, content), answer.status)
        try:
            return dict(json.loads(content or b"{}"))
        except (TypeError, ValueError) as failure:  # a proxy's page, while the server behind it is away
            raise OSError(f"no JSON from {path}: {content[:80]!r}") from failure

    def replica_run(self, run: Run) -> str:
        """The run that a replica's records belong to: the leader's is the experiment's own."""
        if run.is_leader:
            return run.run_id
        tags = {**run.tags, REPLICA_TAG: run.replica}
        name = "-".join(filter(None, (run.experiment_id, run.trial_id, run.replica)))
        return run_id(self.child_run(run, name, tags, {}))

    def child_run(self, run: Run, name: str, tags: dict[str, str], more: dict[str, str]) -> dict[str, Any]:
        """The run below `run` that has these tags; one that has to be made has `more` tags too. Raises as `post`."""
        tags = {**tags, PARENT_TAG: run.run_id}  # a rerun's replicas have runs of their own
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found = self.post(
            "runs/search", {"experiment_ids": [run.mlflow_experiment_id], "filter": wanted, "max_results": 1}
        )
        if found.get("runs"):
            return dict(found["runs"][0])
        given = {**tags, **more}
        made = self.post(
            "runs/create",
            {
                "experiment_id": run.mlflow_experiment_id,
                "run_name": name,
                "start_time": time.time_ns() // 1_000_000,
                "tags": as_tags(given),
            },
        )
        return dict(made["run"])

    def tag(self, run_id: str, tags: dict[str, str]) -> None:
        """Raises as `post`."""
        self.post("runs/log-batch", {"run_id": run_id, "tags": as_tags(tags)})

    def end(self, run_id: str, status: str) -> None:
        """Raises as `post`."""
        self.post("runs/update", {"run_id": run_id, "status": status, "end_time": time.time_ns() // 1_000_000})


def _why(status: int, content: bytes) -> str:
    """MLflow's own sentence, where the answer has one."""
    try:
        text = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        text = content.decode(errors="replace")
    return f"HTTP {status}: {text[:500]}"


def run_id(run: dict[str, Any]) -> str:
    return str(run["info"]["run_id"])


def as_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]
