"""The attempts of an experiment: the current one, and earlier ones."""

from __future__ import annotations

from collections.abc import Callable

from submarine_ray.core.database import Database
from submarine_ray.core.errors import NotFound
from submarine_ray.experiments import answers, repository
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec.answers.experiments import Attempt
from submarine_ray.spec.experiment import ExperimentStatus as Status


class AttemptService:
    """`row` finds an experiment by its id; it raises NotFound."""

    def __init__(self, database: Database, row: Callable[[str], ExperimentRow]) -> None:
        self._database = database
        self._row = row

    def all(self, experiment_id: str) -> list[Attempt]:
        """The experiment's attempts, the first one first. Raises NotFound."""
        return [answers.attempt(one) for one in self._rows(self._row(experiment_id))]

    def find(self, experiment_id: str, attempt: int | None = None) -> ExperimentRow | AttemptRow:
        """An attempt of an experiment by its number; without one, the current. Raises NotFound."""
        row = self._row(experiment_id)
        if attempt in (None, row.attempt):
            return row
        rows = self._rows(row)
        found = next((one for one in rows if one.attempt == attempt), None)
        if found is None:
            known = ", ".join(str(one.attempt) for one in rows)
            raise NotFound(f"{experiment_id} has no attempt {attempt}; it has {known}.")
        return found

    def _rows(self, row: ExperimentRow) -> list[ExperimentRow | AttemptRow]:
        with self._database.session() as session:
            earlier = repository.earlier_attempts(session, row.id)
        return [*(one for one in earlier if one.attempt < row.attempt), row]


def outcome(row: ExperimentRow) -> tuple[str, str | None, str | None]:
    """The status, reason and message of an attempt that a rerun replaces: its own if it has ended, else stopped."""
    if row.status in Status.ENDED:
        return row.status, row.reason, row.message
    return Status.FAILED, Status.STOPPED, f"Attempt {row.attempt + 1} took its place."
