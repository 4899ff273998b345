"""Finds experiments by what somebody types, and by their ids."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from submarine_ray.core.database import Database
from submarine_ray.experiments import answers, repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.answers.experiments import ExperimentSummary


class ExperimentFinder:
    """For searches and for lists of what a user has marked or opened."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, text: str, limit: int) -> list[ExperimentSummary]:
        """Experiments whose name or tags have all words of the text, or whose id begins with it: those whose name
        begins with it first, then the newest.
        """
        with self._database.session() as session:
            return _summaries(session, repository.search(session, text, limit))

    def of(self, ids: Sequence[str]) -> list[ExperimentSummary]:
        """Those of these ids that are not deleted, in this order."""
        with self._database.session() as session:
            return _summaries(session, repository.find_all(session, ids) if ids else [])


def _summaries(session: Session, rows: Sequence[ExperimentRow]) -> list[ExperimentSummary]:
    tags = repository.tags(session, [row.id for row in rows]) if rows else {}
    return [answers.summary(row, tags.get(row.id, [])) for row in rows]
