"""`ExperimentClient`: every method of Submarine's, over this service."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any
from urllib.parse import quote

from submarine_ray.client.errors import ExperimentFailed
from submarine_ray.client.http import PATIENCE_SECONDS, Service, later
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.numbers import from_json

_BASE = "/api/v1/experiment"
_MEDIA_PAGE = 1000
_TABLE_ROWS = 1000  # of one request
_NO_REPLICAS = ("submarine", "ray")
SHORTEST_QUESTION, LONGEST_QUESTION = 0.1, 20.0  # seconds; well below the HTTP client's timeout


class ExperimentClient:
    """Creates and manages experiments.

    Args:
        host: the control service's URL; default `SUBMARINE_URL`, else this machine's.
        token: its bearer token, if it asks for one; default `SUBMARINE_TOKEN`.
        patience: for how many seconds to go on trying while the service does not answer.

    All methods raise ApiError (refused) or ServiceUnreachable. Source: Submarine's "Experiment Client".
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def create_experiment(self, experiment_spec: dict[str, Any]) -> dict[str, Any]:
        """Create an experiment from its spec, and return it."""
        return dict(self.service.call("POST", _BASE, json=experiment_spec))

    def patch_experiment(self, id: str, experiment_spec: dict[str, Any], rerun: bool = False) -> dict[str, Any]:
        """Replace an experiment's spec. Its name, owner, team, notes and tags are changed in place; anything else that
        is new, and `rerun` in any case, stops the current attempt and begins the next one.
        """
        params = {"rerun": "true"} if rerun else {}
        return dict(self.service.call("PATCH", f"{_BASE}/{id}", json=experiment_spec, params=params))

    def get_experiment(self, id: str) -> dict[str, Any]:
        """Return an experiment."""
        return dict(self.service.call("GET", f"{_BASE}/{id}"))

    def get_experiment_async(self, id: str) -> AsyncResult[dict[str, Any]]:
        """The same without waiting: `.get()` has the answer, or raises its error."""
        return later(self.get_experiment, id)

    def list_experiments(self, status: str | None = None) -> list[dict[str, Any]]:
        """Return all experiments, newest first; with `status`, those in that state."""
        return list(self.service.call("GET", _BASE, params={"status": status} if status else {}))

    def list_experiments_async(self, status: str | None = None) -> AsyncResult[list[dict[str, Any]]]:
        """The same as `list_experiments` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.list_experiments, status)

    def experiment_table(
        self, filter: str = "", sort: str = "", columns: Sequence[str] = (), limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Return experiments as rows, with what they logged of some columns.

        Args:
            filter: a condition, for example `metrics.loss < 0.1 and lr >= 1e-4 and tag = demo`.
            sort: the field to sort by, for example `-metrics.accuracy`: with `-` the highest value comes first.
            columns: `metrics.NAME` or `params.NAME`; each row has their values as floats and strings in `values`.
            limit: the largest number of rows.
        """
        return self._pages("table", {"filter": filter, "sort": sort}, columns, limit)

    def _pages(self, path: str, asked: dict[str, Any], columns: Sequence[str], limit: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        asked = {**asked, "columns": [columns] if isinstance(columns, str) else list(columns)}
        size = min(limit, _TABLE_ROWS)
        while len(rows) < limit:
            page = {"page": len(rows) // size + 1, "pageSize": size}
            found = self.service.call("GET", f"{_BASE}/{path}", params=asked | page)
            rows += found
            if len(found) < size:
                break
        return rows[:limit]

    def experiment_groups(
        self, by: str, filter: str = "", sort: str = "", columns: Sequence[str] = (), limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Return groups of experiments: how many there are, and the mean, least and greatest of what they logged.

        Args:
            by: the field that groups: `status`, `tag`, `owner`, `framework`, `cluster`, `name` or `params.NAME`.
            filter: a condition, as of `experiment_table`.
            sort: `by`, `created`, or a parameter or metric (then by its mean), with `-` the highest first; without it
                the largest group comes first.
            columns: `metrics.NAME` or `params.NAME`, summarized in each group's `values`.
            limit: the largest number of groups.
        """
        asked = {"by": by, "filter": filter, "sort": sort}
        return self._pages("groups", asked, columns, limit)

    def change_experiments(
        self, action: str, ids: Sequence[str] | None = None, filter: str | None = None, tag: str | None = None
    ) -> dict[str, Any]:
        """Change many experiments, and return how many were changed, skipped and failed.

        Args:
            action: `tag`, `untag`, `stop` or `delete`.
            ids: the experiments; or
            filter: a condition: all experiments that match it are changed, at most 10,000.
            tag: the tag to add or to remove.
        """
        given = {"action": action, "ids": None if ids is None else list(ids), "filter": filter, "tag": tag}
        body = {name: value for name, value in given.items() if value is not None}
        return dict(self.service.call("PATCH", _BASE, json=body))

    def delete_experiment(self, id: str) -> dict[str, Any]:
        """Stop and delete an experiment; its registered models stay."""
        return dict(self.service.call("DELETE", f"{_BASE}/{id}"))

    def delete_experiment_async(self, id: str) -> AsyncResult[dict[str, Any]]:
        """The same as `delete_experiment` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.delete_experiment, id)

    def stop_experiment(self, id: str) -> dict[str, Any]:
        """Stop a running experiment; it stays listed."""
        return dict(self.service.call("POST", f"{_BASE}/{id}/stop"))

    def get_log(self, id: str, onlyMaster: bool = False) -> dict[str, Any]:  # noqa: N803 (Submarine's name)
        """Print and return the logs of all replicas, or of the first alone."""
        found = dict(self.service.call("GET", f"{_BASE}/logs/{id}"))
        if onlyMaster:
            found["logContent"] = found["logContent"][:1]
        for pod in found["logContent"]:
            for line in pod["podLog"]:
                print(f"{pod['podName']}: {line}")
        return found

    def list_log(self, status: str | None = None) -> list[dict[str, Any]]:
        """Return the replicas of each experiment that has a log."""
        return list(self.service.call("GET", f"{_BASE}/logs", params={"status": status} if status else {}))

    def follow_log(self, id: str, replica: str | None = None, tail: int | None = None) -> Iterator[tuple[str, str]]:
        """Yield (replica, line) as they are written, from the beginning, or each replica's last `tail` lines, until the
        experiment has ended.

        A line that ends with a carriage return is not finished (a progress bar as it is now): the next line of the same
        replica takes its place.
        """
        given = {"replica": replica or "", "tail": str(tail or "")}
        for record in self.service.lines(f"{_BASE}/logs/{id}/stream", {k: v for k, v in given.items() if v}):
            yield record["replica"], record["line"]

    def read_log(
        self, id: str, replica: str | None = None, tail: int | None = None, attempt: int | None = None
    ) -> Iterator[tuple[str, str]]:
        """Yield (replica, line) of what was written so far, one replica after another, in pieces. With `tail`, the
        last lines of each replica; with `attempt`, of that attempt. What the platform and Ray say is left out, unless
        `replica` names them.
        """
        given = {"replica": replica or "", "tail": str(tail or ""), "follow": "false", "attempt": str(attempt or "")}
        for record in self.service.lines(f"{_BASE}/logs/{id}/stream", {k: v for k, v in given.items() if v}):
            if replica is not None or record["replica"] not in _NO_REPLICAS:
                yield record["replica"], record["line"]

    def attempts(self, id: str) -> list[dict[str, Any]]:
        """Return the experiment's attempts, the first one first: `attempt, status, reason, message, spec` and more of
        each. A rerun has metrics, parameters and artifacts of its own; a retry goes on in those of the attempt before.
        """
        return list(self.service.call("GET", f"{_BASE}/{id}/attempts"))

    def provenance(self, id: str, attempt: int | None = None) -> dict[str, Any]:
        """Return what the current attempt, or another, ran with: `git` (commit, branch, dirty, repository), `python`,
        `platform`, and `packages` with their versions. What is not known is None.
        """
        return dict(self.service.call("GET", f"{_BASE}/{id}/provenance", params=_given(attempt=attempt)))

    def metrics(self, id: str, key: str | None = None, attempt: int | None = None) -> list[dict[str, Any]]:
        """Return the last value of each metric of each replica, or one metric's history, of the current attempt or
        another; `value` is a float, also NaN or infinite.
        """
        found = self.service.call("GET", f"{_BASE}/{id}/metrics", params=_given(key=key, attempt=attempt))
        return [{**metric, "value": from_json(metric["value"])} for metric in found]

    def trials(self, id: str, attempt: int | None = None) -> list[dict[str, Any]]:
        """Return a sweep's trials, the best first: `trialId, status, params, metrics` and more of each; of the current
        attempt or another. Metrics are floats; one that is NaN or infinite never makes a trial the best.
        """
        found = self.service.call("GET", f"{_BASE}/{id}/trials", params=_given(attempt=attempt))
        return [_trial(trial) for trial in found]

    def trial(self, id: str, trial_id: str, attempt: int | None = None) -> dict[str, Any]:
        """Return a trial of a sweep, as `trials` has it."""
        path = f"{_BASE}/{id}/trials/{quote(trial_id, safe='')}"
        return _trial(self.service.call("GET", path, params=_given(attempt=attempt)))

    def stop_trial(self, id: str, trial_id: str) -> dict[str, Any]:
        """Stop one trial of a sweep that runs, and return it as it is now; the sweep goes on. The trial ends as
        Stopped, with what it has logged.
        """
        path = f"{_BASE}/{id}/trials/{quote(trial_id, safe='')}/stop"
        return _trial(self.service.call("POST", path))

    def extend_sweep(self, id: str, samples: int) -> dict[str, Any]:
        """Add samples to a sweep, and return the experiment. One that runs makes them too; one that has ended goes on,
        as its next attempt, with the trials that it has and what its algorithm has learnt.
        """
        return dict(self.service.call("POST", f"{_BASE}/{id}/extend", json={"samples": samples}))

    def sweep(self, id: str) -> dict[str, Any]:
        """Return a summary of a sweep: its `trials`, the `best` of them, its `metric`, `mode` and `total` of trials."""
        answer = self.service.envelope("GET", f"{_BASE}/{id}/trials")
        attributes = dict(answer["attributes"])
        best = attributes.pop("best", None)
        trials = [_trial(trial) for trial in answer["result"]]
        return {"best": _trial(best) if best else None, **attributes, "trials": trials}

    def list_artifacts(self, id: str, path: str = "", attempt: int | None = None) -> list[str]:
        """Return the paths of the artifacts directly below `path`, of the current attempt or another; those of
        directories end with `/`.
        """
        params = {"path": path, **_given(attempt=attempt)}
        return list(self.service.call("GET", f"{_BASE}/artifacts/{id}", params=params))

    def download_artifact(self, id: str, path: str, target: str | Path, attempt: int | None = None) -> Path:
        """Store an artifact of the current attempt or another as the file `target`; its path. Nothing is left there if
        the download fails.
        """
        return self._download(f"{_BASE}/{id}/artifact", {"path": path, **_given(attempt=attempt)}, Path(target))

    def media(
        self,
        id: str,
        kind: str | None = None,
        key: str | None = None,
        step: int | None = None,
        attempt: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the images, figures, tables, texts, histograms and audio of the current attempt or another, by kind,
        key, step and replica: `name, kind, key, step, replica, caption` and more of each.
        """
        asked = _given(kind=kind, key=key, step=step, attempt=attempt)
        found: list[dict[str, Any]] = []
        while True:
            params = {**asked, "page": len(found) // _MEDIA_PAGE + 1, "pageSize": _MEDIA_PAGE}
            page = self.service.call("GET", f"{_BASE}/{id}/media", params=params)
            found += page
            if len(page) < _MEDIA_PAGE:
                return found

    def download_media(self, id: str, name: str, target: str | Path) -> Path:
        """Store the content of an item that `media` lists as the file `target`; its path. Nothing is left there if the
        download fails.
        """
        return self._download(f"{_BASE}/{id}/media/{name}", {}, Path(target))

    def _download(self, address: str, params: dict[str, Any], target: Path) -> Path:
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("wb") as file:
                self.service.download(address, params, file)
            return partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def wait_for_finish(self, id: str, polling_interval: float = 10, timeout: float | None = None) -> dict[str, Any]:
        """Wait until the experiment has ended, and return it.

        Args:
            id: the experiment.
            polling_interval: how many seconds one question may stay open. The service answers as soon as the
                experiment ends, so that a long interval delays nothing.
            timeout: give up after so many seconds; default never.

        Raises:
            ExperimentFailed: it ended as Failed or Deleted.
            TimeoutError: it has not ended in time; it goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONGEST_QUESTION if until is None else max(0.0, until - time.monotonic())
            wait = min(max(polling_interval, SHORTEST_QUESTION), left, LONGEST_QUESTION)
            experiment = dict(self.service.call("GET", f"{_BASE}/{id}/end", params={"wait": wait}))
            if experiment["status"] == ExperimentStatus.SUCCEEDED:
                return experiment
            if experiment["status"] in ExperimentStatus.ENDED:
                raise ExperimentFailed(experiment)
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"{id} is {experiment['status']} after {timeout} s")


def _given(**values: str | int | None) -> dict[str, str]:
    """A query's parameters; those that are not given are left out."""
    return {name: str(value) for name, value in values.items() if value is not None}


def _trial(trial: dict[str, Any]) -> dict[str, Any]:
    return {**trial, "metrics": {key: from_json(value) for key, value in trial["metrics"].items()}}
