"""All SQL of what attempts ran with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.core.errors import AlreadyExists
from submarine_ray.experiments.tables import PackageSetRow, ProvenanceRow

AT_ONCE = 500  # sets that are deleted


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
    # Held, so that it is not pruned before this attempt refers to it.
    known = select(PackageSetRow.digest).where(PackageSetRow.digest == digest).with_for_update()
    if session.scalar(known) is None:
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


def unused(session: Session) -> list[str]:
    """The digests of some sets of packages to which no attempt refers."""
    query = select(PackageSetRow.digest).where(PackageSetRow.digest.not_in(select(ProvenanceRow.packages)))
    return list(session.scalars(query.limit(AT_ONCE)))


def prune(session: Session, digests: Collection[str]) -> None:
    """Delete those of some sets of packages to which no attempt refers by now."""
    chosen = PackageSetRow.digest.in_(digests)
    session.execute(
        select(PackageSetRow.digest).where(chosen).with_for_update()
    )  # none that begins may take one up now
    referred = select(ProvenanceRow.packages).where(ProvenanceRow.packages.in_(digests)).distinct()
    gone = set(digests) - set(session.scalars(referred))
    session.execute(delete(PackageSetRow).where(PackageSetRow.digest.in_(gone)))


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
