"""The code and the software that attempts ran with: what runners told, and what specs say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, Conflict, NotFound, SecretLost
from submarine_ray.experiments import provenance_rows, repository
from submarine_ray.experiments.answers import stored_spec
from submarine_ray.experiments.provenance_rows import Told
from submarine_ray.experiments.results import FindAttempt
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec.answers.provenance import GitState, Provenance
from submarine_ray.spec.code import CodeSpec
from submarine_ray.spec.provenance import ProvenanceReport


class ProvenanceService:
    """Keeps what runners tell, and reads it for pages and users."""

    def __init__(self, database: Database, row: FindAttempt) -> None:
        self._database = database
        self._row = row

    def put(self, experiment_id: str, submission: str, report: ProvenanceReport) -> None:
        """Keep what the runner of an attempt tells. Raises NotFound."""
        packages = json.dumps(report.packages, sort_keys=True, separators=(",", ":"))
        told = Told(report.python, report.platform, packages, report.commit)
        digest = hashlib.sha256(packages.encode()).hexdigest()
        try:
            self._put(experiment_id, submission, told, digest)
        except AlreadyExists:  # another attempt with the same packages began at this moment
            self._put(experiment_id, submission, told, digest)

    def _put(self, experiment_id: str, submission: str, told: Told, digest: str) -> None:
        with self._database.session(write=True) as session:
            row = repository.find(session, experiment_id)
            earlier = repository.earlier_attempt(session, submission)
            is_own = row is not None and (submission == row.submission_id or (earlier and earlier.id == row.id))
            if not is_own:
                raise NotFound(f"{experiment_id[:80]!r} has no attempt {submission[:80]!r}.")
            provenance_rows.put(session, experiment_id, submission, told, digest)

    def get(self, experiment_id: str, attempt: int | None = None) -> Provenance:
        """What an attempt ran with. Raises NotFound."""
        row = self._row(experiment_id, attempt)
        with self._database.session() as session:
            told = provenance_rows.read(session, [row.submission_id])
        return _provenance(row, told.get(row.submission_id))

    def of_run(self, experiment_id: str, run_id: str) -> Provenance:
        """What the attempt ran with that has an MLflow run; the current one if none has. Raises NotFound."""
        with self._database.session() as session:
            earlier = repository.earlier_attempts(session, experiment_id)
        return self.get(experiment_id, next((one.attempt for one in earlier if one.run_id == run_id), None))

    def several(self, experiment_ids: Sequence[str]) -> dict[str, Provenance]:
        """What the current attempts of some experiments run with; those that are not there have none."""
        with self._database.session() as session:
            rows = repository.find_all(session, experiment_ids)
            told = provenance_rows.read(session, [row.submission_id for row in rows])
        return {row.id: _provenance(row, told.get(row.submission_id)) for row in rows}


def _provenance(row: ExperimentRow | AttemptRow, told: Told | None) -> Provenance:
    try:
        code = stored_spec(row).code
    except (Conflict, SecretLost):  # what the runner told can be read all the same
        code = None
    return Provenance(
        attempt=row.attempt,
        git=_git(code, told),
        python=told and told.python,
        platform=(told and told.platform) or None,
        packages=json.loads(told.packages) if told else None,
    )


def _git(code: CodeSpec | None, told: Told | None) -> GitState | None:
    """A package has the commit from its sender; a clone has it from the runner, who saw it."""
    if code and code.source:
        source = code.source
        return GitState(commit=source.commit, branch=source.branch, dirty=source.dirty, repository=source.repository)
    if told is None or told.commit is None:
        return None
    git = code.git if code else None
    branch, repository = (git.branch, git.url) if git else (None, None)
    return GitState(commit=told.commit, branch=branch, dirty=False if git else None, repository=repository)
