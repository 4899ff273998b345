"""All SQL about clusters."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from submarine_ray.clusters.tables import ClusterRow, LaunchRow
from submarine_ray.core import leases
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.database import add_new
from submarine_ray.core.engine.feature import Outcome


def find(session: Session, name: str) -> ClusterRow | None:
    return session.get(ClusterRow, name)


def lock(session: Session, name: str) -> bool:
    """Whether there is the cluster; nobody else gets past this line for it before the transaction ends."""
    return session.scalar(select(ClusterRow.name).where(ClusterRow.name == name).with_for_update()) is not None


def list_all(session: Session) -> list[ClusterRow]:
    return list(session.scalars(select(ClusterRow).order_by(ClusterRow.name)))


def names(session: Session) -> list[str]:
    return list(session.scalars(select(ClusterRow.name).order_by(ClusterRow.name)))


def add(session: Session, row: ClusterRow) -> None:
    """Raises AlreadyExists."""
    add_new(session, row, f"A cluster named {row.name!r} exists; choose another name or delete it first.")


def remove(session: Session, name: str) -> None:
    session.execute(delete(ClusterRow).where(ClusterRow.name == name))


def change(session: Session, name: str, values: Mapping[str, object]) -> None:
    """Change what is desired: what was seen of the cluster as it was counts no more, and it is looked at now."""
    anew = {"generation": ClusterRow.generation + 1, "next_check_ms": due_ms(), "healthy": None}
    session.execute(update(ClusterRow).where(ClusterRow.name == name).values(**anew, **values))


def write(session: Session, row: ClusterRow, outcome: Outcome) -> bool:
    """What came of a look, or that the cluster is gone; False if the lease or the desired state has changed."""
    if not outcome.remove:
        return leases.apply(session, row, outcome.values)
    mine = (ClusterRow.name == row.name, ClusterRow.lock_token == row.lock_token)
    return bool(session.execute(delete(ClusterRow).where(*mine)).rowcount)  # type: ignore[attr-defined]


def record(session: Session, name: str, observed: Mapping[str, object]) -> None:
    """Note what was just seen of a cluster; what is not named stays as last seen."""
    session.execute(update(ClusterRow).where(ClusterRow.name == name).values(observed_ms=now_ms(), **observed))


def keep_launch(session: Session, submission: str, sealed: str) -> None:
    """Put it in place of one that nobody has fetched; one that was fetched stays as it was."""
    row = session.get(LaunchRow, submission)
    if row is None:
        session.add(LaunchRow(submission=submission, sealed=sealed, made_ms=due_ms()))
    elif row.run is None:
        row.sealed, row.made_ms = sealed, due_ms()


def take_launch(session: Session, submission: str, run: str) -> LaunchRow | None:
    """The launch, marked as fetched by this run if nobody was before it: of many at once, one is first."""
    session.execute(
        update(LaunchRow)
        .where(LaunchRow.submission == submission, LaunchRow.run.is_(None))
        .values(run=run, taken_ms=due_ms())
        .execution_options(synchronize_session=False)
    )
    return session.get(LaunchRow, submission)


def waiting_launches(session: Session, submissions: Collection[str]) -> set[str]:
    query = select(LaunchRow.submission).where(LaunchRow.submission.in_(submissions), LaunchRow.run.is_(None))
    return set(session.scalars(query))


def drop_launch(session: Session, submission: str) -> None:
    session.execute(delete(LaunchRow).where(LaunchRow.submission == submission))


def drop_launches_of(session: Session, id: str) -> None:
    """Those of all attempts of an experiment."""
    attempts = LaunchRow.submission.startswith(f"{id}-r", autoescape=True)
    session.execute(delete(LaunchRow).where(or_(LaunchRow.submission == id, attempts)))


def drop_launches(session: Session, before_ms: int) -> None:
    """Those that were kept so long ago."""
    session.execute(delete(LaunchRow).where(LaunchRow.made_ms < before_ms))
