"""Finds registered models and versions by words; MLflow searches."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from submarine_ray.spec.tags import STAGE_TAG
from submarine_ray.tracking.paged import every
from submarine_ray.tracking.service import TrackingService

AT_ONCE = 200  # names in one question

Version = tuple[str, int, str]
"""A version: its model, its number and its stage."""


class ModelFinder:
    """For searches. MLflow's texts have no escapes, so all that is asked for is words: letters and digits."""

    def __init__(self, tracking: TrackingService) -> None:
        self._tracking = tracking

    def search(self, words: Sequence[str], limit: int) -> list[str]:
        """The names of models that contain all words, by name."""
        found = self._tracking.client().search_registered_models(filter_string=_contain(words), max_results=limit)
        return [model.name for model in found]

    def search_versions(self, words: Sequence[str], version: int, limit: int) -> list[Version]:
        """The versions of this number of models whose names contain all words."""
        wanted = f"{_contain(words)} AND version_number = {version}"
        found = self._tracking.client().search_model_versions(wanted, max_results=limit)
        return [(one.name, int(one.version), one.tags.get(STAGE_TAG, "None")) for one in found]

    def which(self, wanted: Collection[tuple[str, int]]) -> list[Version]:
        """Those of some versions that there are."""
        names = sorted({name for name, _ in wanted if "'" not in name})[:AT_ONCE]
        if not names:
            return []
        listed = ", ".join(f"'{name}'" for name in names)
        found = every(self._tracking.client().search_model_versions, f"name IN ({listed})")
        pairs = [(one.name, int(one.version), one.tags.get(STAGE_TAG, "None")) for one in found]
        return [one for one in pairs if one[:2] in wanted]


def _contain(words: Sequence[str]) -> str:
    return " AND ".join(f"name ILIKE '%{word}%'" for word in words)
