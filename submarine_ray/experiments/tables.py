"""Experiments: the wish (spec, wanted) and what was observed of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import LongText, Table
from submarine_ray.core.leases import Leased
from submarine_ray.spec.experiment import TAG_LENGTH


class ExperimentRow(Leased, Table):
    """One experiment. `generation` counts the user's changes: what was decided for an older one is not applied.

    `superseded` holds the submission ids of earlier attempts that may still have to be stopped, blank-separated.
    `next_check_ms` is null once nothing is left to do. `environment` is what the spec's environment meant when the spec
    was accepted: a stored one may change or go since.
    """

    __tablename__ = "experiment"
    __table_args__ = (
        Index("ix_experiment_list", "status", "accepted_ms", "id"),
        Index("ix_experiment_order", "accepted_ms", "id"),
        Index("ix_experiment_cluster", "cluster", "status"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    uid: Mapped[str] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(63), index=True)
    framework: Mapped[str] = mapped_column(String(20))
    cluster: Mapped[str] = mapped_column(String(63))
    spec: Mapped[str] = mapped_column(LongText)
    environment: Mapped[str | None] = mapped_column(LongText)
    package: Mapped[str | None] = mapped_column(String(80), index=True)
    sealed_password: Mapped[str | None] = mapped_column(LongText)
    generation: Mapped[int] = mapped_column(Integer, default=1)
    wanted: Mapped[str] = mapped_column(String(10), default="run")
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(LongText)
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    max_retries: Mapped[int] = mapped_column(Integer, default=0)
    superseded: Mapped[str] = mapped_column(LongText, default="")
    incarnation: Mapped[str | None] = mapped_column(String(128))
    run_id: Mapped[str | None] = mapped_column(String(64))
    mlflow_experiment_id: Mapped[str | None] = mapped_column(String(64))
    archived: Mapped[bool] = mapped_column(default=False)
    demand_cpu: Mapped[float] = mapped_column(Double, default=0.0)
    demand_memory: Mapped[int] = mapped_column(BigInteger, default=0)
    demand_gpu: Mapped[float] = mapped_column(Double, default=0.0)
    accepted_ms: Mapped[int] = mapped_column(BigInteger)
    created_ms: Mapped[int | None] = mapped_column(BigInteger)
    running_ms: Mapped[int | None] = mapped_column(BigInteger)
    finished_ms: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def submission_id(self) -> str:
        """Ray's id of the current attempt."""
        return submission_id(self.id, self.attempt)

    @property
    def superseded_ids(self) -> tuple[str, ...]:
        return tuple(self.superseded.split())


class ExperimentTagRow(Table):
    """A tag of an experiment, for finding those that have it; the spec has them too, as the user wrote them."""

    __tablename__ = "experiment_tag"
    __table_args__ = (Index("ix_experiment_tag_tag", "tag", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tag: Mapped[str] = mapped_column(String(TAG_LENGTH), primary_key=True)


def submission_id(experiment_id: str, attempt: int) -> str:
    """The experiment's id, plus -rN for attempt N: chosen by us, so that submitting twice starts one job."""
    return experiment_id if attempt == 1 else f"{experiment_id}-r{attempt}"


def attempt_number(experiment_id: str, submission: str) -> int:
    """The attempt that `submission_id` made `submission` of."""
    return int(submission.removeprefix(experiment_id).removeprefix("-r") or 1)
