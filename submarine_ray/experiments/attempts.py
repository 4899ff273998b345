"""Whether an attempt may still be running: only as long its token opens anything."""

from __future__ import annotations

import re

from submarine_ray.access.reach import Attempt
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.experiments import repository
from submarine_ray.experiments.answers import stored_spec
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.experiment import ExperimentStatus

# For how long after its end an attempt's last metrics may arrive, beside its time of grace.
LAST_WORDS_MS = 60_000
_ATTEMPT = re.compile(r"(?P<id>.+?)(?:-r\d+)?")
_PACKAGE = "package://"


class Attempts:
    """Finds attempts by their submission ids."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, submission: str) -> Attempt | None:
        """The attempt of a submission id: also one that another follows, while it is being stopped. None if it has
        ended, or its experiment was deleted.
        """
        found = _ATTEMPT.fullmatch(submission)
        with self._database.session() as session:
            row = repository.find(session, found["id"]) if found else None
            earlier = repository.earlier_attempt(session, submission) if row else None
        if row is None or not _may_run(row, submission):
            return None
        package = row.package.removeprefix(_PACKAGE) if row.package else None
        run = earlier.run_id if earlier else row.run_id
        return Attempt(row.id, submission, run, package, row.mlflow_experiment_id)


def _may_run(row: ExperimentRow, submission: str) -> bool:
    if submission in row.superseded_ids:
        return True
    if submission != row.submission_id:
        return False
    if row.status not in ExperimentStatus.ENDED or row.finished_ms is None:
        return True
    return now_ms() - row.finished_ms < LAST_WORDS_MS + stored_spec(row).grace * 1000
