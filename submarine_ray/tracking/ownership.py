"""Which experiment MLflow's runs, saved models, files and versions belong to; see `access.reach.Runs`."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypedDict, TypeVar

from submarine_ray.access.reach import Served
from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.spec.tags import EXPERIMENT_TAG, PARENT_TAG, SWEEP_TAG
from submarine_ray.tracking.entities import Client, Run
from submarine_ray.tracking.failures import translated
from submarine_ray.tracking.paged import every
from submarine_ray.tracking.service import TrackingService

MOST_KNOWN = 50_000
# A run's runs have runs; nobody nests them deeper.
DEEPEST = 8
# Runs that a filter can name: MLflow's parser takes a second for so many, and more are beyond LONGEST_FILTER.
MOST_NAMED = 1_500
# Versions may be deleted, and their files are nobody's to read then.
REGISTERED_SECONDS = 30.0
_ID = re.compile(r"(?:m-)?[0-9a-f]{32}")


Found = TypeVar("Found")


class _Comparison(TypedDict):
    """A part of a filter, as MLflow's parser has it."""

    type: str
    key: str
    comparator: str
    value: object


class _Kind(Protocol):
    value: str


class _Entity(Protocol):
    type: _Kind
    key: str


class _ModelComparison(Protocol):
    """The same of a filter for saved models."""

    entity: _Entity
    op: str
    value: object


class Ownership:
    """Answers from MLflow's stores, and remembers what does not change: a run stays where it was made."""

    def __init__(self, tracking: TrackingService) -> None:
        self._tracking = tracking
        self._owners: dict[str, str] = {}
        self._roots: dict[str, str] = {}
        self._registered: dict[str, float] = {}
        self._served: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def owner(self, run_id: str) -> str | None:
        """See Runs."""
        if known := self._owners.get(run_id):
            return known
        found = self._climb(run_id)
        if found:
            self._remember(self._owners, run_id, found)
        return found

    def owner_of_model(self, model_id: str) -> str | None:
        """See Runs."""
        if known := self._owners.get(model_id):
            return known
        model = self._found(lambda client: client.get_logged_model(model_id))
        found = self.owner(model.source_run_id) if model and model.source_run_id else None
        if found:
            self._remember(self._owners, model_id, found)
        return found

    def owner_of_files(self, path: str) -> str | None:
        """See Runs."""
        holder = self._holder(path)
        if holder is None:
            return None
        return self.owner_of_model(holder) if holder.startswith("m-") else self.owner(holder)

    def owner_of_version(self, name: str, version: str) -> str | None:
        """See Runs."""
        found = self._found(lambda client: client.get_model_version(name, version))
        return self.owner(found.run_id) if found and found.run_id else None

    def is_registered(self, path: str) -> bool:
        """See Runs."""
        holder = self._holder(path)
        if holder is None:
            return False
        if holder.startswith("m-"):
            return self.is_registered_model(holder)
        return self._remembered(path, lambda client: self._is_version_of_run(client, holder, path))

    def is_registered_model(self, model_id: str) -> bool:
        """See Runs."""
        if not _ID.fullmatch(model_id):
            return False
        return self._remembered(model_id, lambda client: self._is_version(client, model_id))

    def is_served(self, path: str, served: Served) -> bool:
        """See Runs."""
        root = self._root_of_version(served)
        return root is not None and _is_below(path, root)

    def is_served_model(self, model_id: str, served: Served) -> bool:
        """See Runs."""
        root = self._root(model_id) if _ID.fullmatch(model_id) else None
        return root is not None and root == self._root_of_version(served)

    def narrowed(self, filter: str, experiment_id: str) -> str:
        """See Runs."""
        from mlflow.utils.search_utils import SearchUtils

        try:
            with translated():
                asked = SearchUtils.parse_search_filter(filter)
        except InvalidSpec as failure:
            raise ValueError(str(failure)) from failure
        if any(self._pins(one, experiment_id) for one in asked):
            return filter
        return _and(f"tags.`{EXPERIMENT_TAG}` = '{experiment_id}'", filter)

    def narrowed_experiments(self, filter: str, mlflow_id: str) -> str:
        """See Runs."""
        found = self._found(lambda client: client.get_experiment(mlflow_id))
        if found is None or "'" in found.name:
            raise ValueError("MLflow's experiment of this run is not there")
        return _and(f"name = '{found.name}'", filter)

    def narrowed_models(self, filter: str, experiment_id: str, run_id: str) -> str:
        """See Runs."""
        from mlflow.utils.search_logged_model_utils import parse_filter_string

        try:
            with translated():
                asked = parse_filter_string(filter)
        except (InvalidSpec, ValueError, SyntaxError) as failure:
            raise ValueError(f"The filter cannot be read: {failure}"[:500]) from failure
        if any(self._names_own_runs(one, experiment_id) for one in asked):
            return filter
        own = self._tracking.runs_with_models(experiment_id) or [run_id]
        if len(own) > MOST_NAMED:
            raise ValueError(
                f"{len(own)} runs of this experiment saved models, and one search finds those of {MOST_NAMED} at most: "
                "name the runs in the filter, as in source_run_id = '...'"
            )
        listed = ", ".join(f"'{found}'" for found in own)
        return _and(f"source_run_id IN ({listed}{',' if len(own) == 1 else ''})", filter)

    def _names_own_runs(self, comparison: _ModelComparison, experiment_id: str) -> bool:
        """Whether a comparison, which others can only narrow, finds models of the experiment's runs alone."""
        if (comparison.entity.type.value, comparison.entity.key) != ("attributes", "source_run_id"):
            return False
        named = (comparison.value,) if comparison.op == "=" else comparison.value
        if comparison.op not in ("=", "IN") or not isinstance(named, tuple) or not named:
            return False
        return all(self.owner(str(one)) == experiment_id for one in named)

    def _pins(self, comparison: _Comparison, experiment_id: str) -> bool:
        """Whether a comparison, which others can only narrow, finds runs of the experiment alone."""
        if comparison["comparator"] != "=":
            return False
        kind, key, value = comparison["type"], comparison["key"], str(comparison["value"])
        if kind == "tag" and key in (EXPERIMENT_TAG, SWEEP_TAG):
            return value == experiment_id
        is_run = (kind == "tag" and key == PARENT_TAG) or (kind == "attribute" and key == "run_id")
        return is_run and self.owner(value) == experiment_id

    def _climb(self, run_id: str) -> str | None:
        for _ in range(DEEPEST):
            run = self._run(run_id)
            if run is None:
                return None
            tags = run.data.tags
            if owner := tags.get(EXPERIMENT_TAG) or tags.get(SWEEP_TAG):
                return str(owner)
            if not (parent := tags.get(PARENT_TAG)):
                return None
            run_id = parent
        return None

    def _holder(self, path: str) -> str | None:
        """The run or saved model whose files lie at a path: one of its parts, which must have them there."""
        for part in path.split("/"):
            if _ID.fullmatch(part):
                root = self._root(part)
                if root and _is_below(path, root):
                    return part
        return None

    def _root(self, holder: str) -> str | None:
        """Where a run's or model's files lie, below the artifact root."""
        if known := self._roots.get(holder):
            return known
        if holder.startswith("m-"):
            model = self._found(lambda client: client.get_logged_model(holder))
            uri = model.artifact_location if model else None
        else:
            run = self._run(holder)
            uri = run.info.artifact_uri if run else None
        root = _below_root(str(uri or ""))
        if root:
            self._remember(self._roots, holder, root)
        return root

    def _is_version_of_run(self, client: Client, run_id: str, path: str) -> bool:
        found = every(client.search_model_versions, f"run_id = '{run_id}'")
        roots = filter(None, (_below_root(str(version.source)) for version in found))
        return any(_is_below(path, root) for root in roots)

    def _is_version(self, client: Client, model_id: str) -> bool:
        sources = (f"models:/{model_id}", client.get_logged_model(model_id).artifact_location)
        return any(client.search_model_versions(f"source_path = '{source}'", max_results=1) for source in sources)

    def _root_of_version(self, served: Served) -> str | None:
        """Where the files of a registered version lie, below the artifact root."""
        key = f"{served.model_name}/{served.model_version}"
        known = self._served.get(key)
        if known and time.monotonic() < known[0]:
            return known[1]
        version = self._found(lambda client: client.get_model_version(served.model_name, str(served.model_version)))
        source = str(version.source) if version else ""
        root = self._root(source.removeprefix("models:/")) if source.startswith("models:/m-") else _below_root(source)
        if root:
            self._remember(self._served, key, (time.monotonic() + REGISTERED_SECONDS, root))
        return root

    def _remembered(self, key: str, ask: Callable[[Client], bool]) -> bool:
        if time.monotonic() < self._registered.get(key, 0.0):
            return True
        found = bool(self._found(ask))
        if found:
            self._remember(self._registered, key, time.monotonic() + REGISTERED_SECONDS)
        return found

    def _run(self, run_id: str) -> Run | None:
        return self._found(lambda client: client.get_run(run_id))

    def _found(self, ask: Callable[[Client], Found]) -> Found | None:
        """What MLflow has; None where it has not. Raises TrackingUnavailable where it cannot say."""
        try:
            return ask(self._tracking.client())
        except (NotFound, InvalidSpec):
            return None

    def _remember(self, where: dict[str, Found], key: str, value: Found) -> None:
        with self._lock:
            if len(where) >= MOST_KNOWN:
                where.clear()
            where[key] = value


def _below_root(uri: str) -> str | None:
    scheme, _, path = uri.partition(":")
    return path.strip("/") if scheme == "mlflow-artifacts" else None


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _and(ours: str, filter: str) -> str:
    """Ours first: nothing in a filter undoes what stands before it."""
    return f"{ours} AND {filter}" if filter.strip() else ours
