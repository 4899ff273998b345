"""What can be found, a source for each kind: one query each, whatever is typed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from submarine_ray.clusters.service import ClusterService
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.models.service import ModelService
from submarine_ray.notebooks.service import NotebookService
from submarine_ray.saved.service import SavedService
from submarine_ray.serving.service import ServingService
from submarine_ray.spec import matching
from submarine_ray.spec.answers.experiments import ExperimentSummary
from submarine_ray.spec.places import ObjectKind, version_key
from submarine_ray.templates.service import TemplateService


@dataclass(frozen=True)
class Item:
    """A thing as it is shown in a list; see `spec/answers/search.py`."""

    kind: ObjectKind
    key: str
    name: str
    detail: str | None = None
    status: str | None = None


class Source(Protocol):
    """The things of a kind."""

    def search(self, text: str, limit: int) -> list[Item]:
        """Those that match best."""

    def of(self, keys: Collection[str]) -> list[Item]:
        """Those of these keys that are there."""


class Listed:
    """Things that are few: all of them are read, by one query, and compared here."""

    def __init__(self, list_all: Callable[[], Iterable[Item]]) -> None:
        self._list_all = list_all

    def search(self, text: str, limit: int) -> list[Item]:
        return best(text, [item for item in self._list_all() if matches(item.name, text)], limit)

    def of(self, keys: Collection[str]) -> list[Item]:
        return [item for item in self._list_all() if item.key in keys]


class _Experiments:
    """Found by an index."""

    def __init__(self, experiments: ExperimentService) -> None:
        self._finder = experiments.finder

    def search(self, text: str, limit: int) -> list[Item]:
        return best(text, [_experiment(one) for one in self._finder.search(text, limit)], limit)

    def of(self, keys: Collection[str]) -> list[Item]:
        return [_experiment(one) for one in self._finder.of(list(keys))]


class _Models:
    """MLflow searches them itself."""

    def __init__(self, models: ModelService) -> None:
        self._models = models

    def search(self, text: str, limit: int) -> list[Item]:
        return best(text, [_model(name) for name in self._models.finder.search(matching.words(text), limit * 4)], limit)

    def of(self, keys: Collection[str]) -> list[Item]:
        return [_model(one.name) for one in self._models.list_all() if one.name in keys]


class _Versions:
    """Of models that the text names beside a number: `resnet 3`, `resnet/3`."""

    def __init__(self, models: ModelService) -> None:
        self._models = models

    def search(self, text: str, limit: int) -> list[Item]:
        *name, number = matching.words(text) or [""]
        digits = number.removeprefix("v")
        if not name or not (digits.isascii() and digits.isdigit()) or len(digits) > _DIGITS:
            return []
        return [_version(*one) for one in self._models.finder.search_versions(name, int(digits), limit)]

    def of(self, keys: Collection[str]) -> list[Item]:
        pairs = {(name, int(version)) for name, _, version in (key.rpartition("/") for key in keys)}
        return [_version(*one) for one in self._models.finder.which(pairs)]


_DIGITS = 9


def sources(
    experiments: ExperimentService,
    models: ModelService,
    serving: ServingService,
    templates: TemplateService,
    environments: EnvironmentService,
    notebooks: NotebookService,
    clusters: ClusterService,
    saved: SavedService,
) -> Mapping[ObjectKind, Source]:
    """The sources of what features keep."""
    kind = ObjectKind
    return {
        kind.EXPERIMENT: _Experiments(experiments),
        kind.MODEL: _Models(models),
        kind.MODEL_VERSION: _Versions(models),
        kind.ENDPOINT: Listed(
            lambda: (
                Item(kind.ENDPOINT, version_key(one.model_name, one.model_version), one.name, one.cluster, one.status)
                for one in serving.list_all()
            )
        ),
        kind.TEMPLATE: Listed(lambda: (Item(kind.TEMPLATE, name, name) for name in templates.names())),
        kind.ENVIRONMENT: Listed(lambda: (Item(kind.ENVIRONMENT, name, name) for name in environments.names())),
        kind.NOTEBOOK: Listed(
            lambda: (Item(kind.NOTEBOOK, id, name, None, status.capitalize()) for id, name, status in notebooks.names())
        ),
        kind.CLUSTER: Listed(lambda: (Item(kind.CLUSTER, name, name) for name in clusters.names())),
        **{kind: Listed(partial(_saved, saved, kind)) for kind in (kind.REPORT, kind.WORKSPACE, kind.VIEW)},
    }


def _saved(saved: SavedService, kind: ObjectKind) -> list[Item]:
    return [Item(kind, id, name) for id, name in saved.names(kind)]


def matches(name: str, text: str) -> bool:
    """Whether a name has all words of a text somewhere."""
    name = name.lower()
    return all(word in name for word in matching.words(text))


def best(text: str, items: Iterable[Item], limit: int) -> list[Item]:
    """The items that match best first; those that match equally well in their order."""
    return sorted(items, key=lambda item: matching.rank(item.name, text))[:limit]


def _experiment(one: ExperimentSummary) -> Item:
    detail = " · ".join([one.experiment_id, *one.tags[:3]])
    return Item(ObjectKind.EXPERIMENT, one.experiment_id, one.name, detail, one.seen)


def _model(name: str) -> Item:
    return Item(ObjectKind.MODEL, name, name)


def _version(name: str, version: int, stage: str) -> Item:
    key = version_key(name, version)
    return Item(ObjectKind.MODEL_VERSION, key, f"{name} version {version}", None if stage == "None" else stage)
