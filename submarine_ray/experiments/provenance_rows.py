"""All SQL of what attempts ran with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.core.errors import AlreadyExists
from submarine_ray.experiments.tables import PackageSetRow, ProvenanceRow


@dataclass(frozen=True)
class Told:
    """What a runner told of an attempt; `packages` is JSON."""

    python: str
    platform: str
    packages: str
    commit: str | None


def put(session: Session, experiment_id: str, submission: str, told: Told, digest: str) -> None:
    """Keep what a runner told; what it told before goes. Raises AlreadyExists if another attempt brings the same
    packages at the same time.
    """
    if session.get(PackageSetRow, digest) is None:
        session.add(PackageSetRow(digest=digest, packages=told.packages))
    row = ProvenanceRow(
        submission=submission,
        experiment_id=experiment_id,
        python=told.python,
        platform=told.platform,
        packages=digest,
        git_commit=told.commit,
    )
    session.merge(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(submission) from failure


def read(session: Session, submissions: Collection[str]) -> dict[str, Told]:
    """What is known of some attempts, by their submission ids."""
    query = (
        select(ProvenanceRow, PackageSetRow.packages)
        .join(PackageSetRow, PackageSetRow.digest == ProvenanceRow.packages)
        .where(ProvenanceRow.submission.in_(submissions))
    )
    return {
        row.submission: Told(row.python, row.platform, packages, row.git_commit)
        for row, packages in session.execute(query)
    }
