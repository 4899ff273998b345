"""What users want of sweeps, in the database: trials that are stopped, and samples that no driver has taken up yet."""

from __future__ import annotations

from sqlalchemy import BigInteger, String, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Table
from submarine_ray.experiments.tables import ExperimentRow


class StoppedTrialRow(Table):
    """A trial that a user has stopped."""

    __tablename__ = "stopped_trial"

    experiment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    trial_id: Mapped[str] = mapped_column(String(250), primary_key=True)
    time_ms: Mapped[int] = mapped_column(BigInteger)


def stop(session: Session, experiment_id: str, trial_id: str) -> bool:
    """Note that a trial is stopped; False if it was so already."""
    if session.get(StoppedTrialRow, (experiment_id, trial_id)):
        return False
    session.add(StoppedTrialRow(experiment_id=experiment_id, trial_id=trial_id, time_ms=now_ms()))
    return True


def stopped(session: Session, experiment_id: str) -> list[str]:
    """The trials that are stopped, in the order of their ids."""
    query = select(StoppedTrialRow.trial_id).where(StoppedTrialRow.experiment_id == experiment_id)
    return list(session.scalars(query.order_by(StoppedTrialRow.trial_id)))


def heard(session: Session, experiment_id: str, attempt: int, samples: int) -> None:
    """Note that the driver of an attempt makes so many samples."""
    row = ExperimentRow
    session.execute(
        update(row)
        .where(row.id == experiment_id, row.attempt == attempt, row.unheard_samples <= samples)
        .values(unheard_samples=None)
        .execution_options(synchronize_session=False)
    )


def forget(session: Session, experiment_id: str) -> None:
    """Drop what is known of a deleted experiment."""
    """Drop what is known of a deleted experiment."""
    session.execute(delete(StoppedTrialRow).where(StoppedTrialRow.experiment_id == experiment_id))
