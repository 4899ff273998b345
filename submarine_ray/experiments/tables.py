"""Experiments: the desired state (spec, wanted) and what was observed of it."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.admission.decide import Demand
from submarine_ray.admission.rows import Waiting
from submarine_ray.clusters.drivers.base import submission_id
from submarine_ray.core.database import LongText, Table, exact_text
from submarine_ray.core.leases import Reconciled
from submarine_ray.core.sealed import Kept, Sealed, Told
from submarine_ray.spec.experiment import TAG_LENGTH
from submarine_ray.spec.matching import MAX_WORD


class BegunRow(Table):
    """The run that has begun an attempt: the first that asked."""

    __tablename__ = "begun"

    submission: Mapped[str] = mapped_column(String(128), primary_key=True)
    experiment_id: Mapped[str] = mapped_column(String(64), index=True)
    run: Mapped[str] = mapped_column(String(64))
    time_ms: Mapped[int] = mapped_column(BigInteger)


class AttemptRow(Table):
    """An attempt that another has followed, as it was then. A rerun has an MLflow run of its own; a retry goes on in
    the run of the attempt before. `log_path` is where in the run its log is kept.
    """

    __tablename__ = "experiment_attempt"

    submission: Mapped[str] = mapped_column(String(128), primary_key=True)
    experiment_id: Mapped[str] = mapped_column(String(64), index=True)
    attempt: Mapped[int] = mapped_column(Integer)
    cluster: Mapped[str] = mapped_column(String(63))
    spec: Mapped[Kept] = mapped_column(Sealed)
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Told)
    run_id: Mapped[str | None] = mapped_column(String(64))
    log_path: Mapped[str] = mapped_column(String(32))
    created_ms: Mapped[int | None] = mapped_column(BigInteger)
    running_ms: Mapped[int | None] = mapped_column(BigInteger)
    finished_ms: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.experiment_id

    @property
    def submission_id(self) -> str:
        """Ray's id of the attempt."""
        return self.submission


class PackageSetRow(Table):
    """Python packages with their versions, as JSON: attempts in the same environment share a row."""

    __tablename__ = "package_set"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    packages: Mapped[str] = mapped_column(LongText)


class ProvenanceRow(Table):
    """What an attempt ran with, as its runner told. `packages` is the digest of a `PackageSetRow`."""

    __tablename__ = "experiment_provenance"

    submission: Mapped[str] = mapped_column(String(128), primary_key=True)
    experiment_id: Mapped[str] = mapped_column(String(64), index=True)
    python: Mapped[str] = mapped_column(String(128))
    platform: Mapped[str] = mapped_column(String(128))
    packages: Mapped[str] = mapped_column(String(64))
    git_commit: Mapped[str | None] = mapped_column(String(64))


class ExperimentRow(Reconciled, Waiting, Table):
    """One experiment. `superseded` holds the submission ids of earlier attempts that may still have to be stopped,
    blank-separated. `environment` is what the spec's environment meant when the spec was accepted: a stored one may
    change or go since.
    """

    __tablename__ = "experiment"
    __table_args__ = (
        Index("ix_experiment_list", "status", "accepted_ms", "id"),
        Index("ix_experiment_order", "accepted_ms", "id"),
        Index("ix_experiment_cluster", "cluster", "status"),
        Index("ix_experiment_framework", "framework", "status"),
        Index("ix_experiment_owner", "owner", "accepted_ms", "id"),
    )

    uid: Mapped[str] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(63), index=True)
    owner: Mapped[str | None] = mapped_column(String(63))
    framework: Mapped[str] = mapped_column(String(20))
    cluster: Mapped[str] = mapped_column(String(63))
    spec: Mapped[Kept] = mapped_column(Sealed)
    environment: Mapped[Kept | None] = mapped_column(Sealed)
    package: Mapped[str | None] = mapped_column(String(80), index=True)
    # Of rows from before whole specs were sealed; see passwords.py.
    sealed_password: Mapped[str | None] = mapped_column(LongText)
    wanted: Mapped[str] = mapped_column(String(10), default="run")
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Told)
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    max_retries: Mapped[int] = mapped_column(Integer, default=0)
    superseded: Mapped[str] = mapped_column(LongText, default="")
    incarnation: Mapped[str | None] = mapped_column(String(128))
    run_id: Mapped[str | None] = mapped_column(String(64))
    mlflow_experiment_id: Mapped[str | None] = mapped_column(String(64))
    archived: Mapped[bool] = mapped_column(default=False)
    timeout_seconds: Mapped[int | None] = mapped_column(Integer)
    deadline_ms: Mapped[int | None] = mapped_column(BigInteger)  # by core.clock.due_ms
    # How many times its demand it would like at most: a sweep's trials. Null in rows from before there was admission.
    units: Mapped[int | None] = mapped_column(Integer)
    # The samples of a sweep that was extended, until a driver of it has said that it makes them.
    unheard_samples: Mapped[int | None] = mapped_column(Integer)
    accepted_ms: Mapped[int] = mapped_column(BigInteger)
    created_ms: Mapped[int | None] = mapped_column(BigInteger)
    running_ms: Mapped[int | None] = mapped_column(BigInteger)
    finished_ms: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def demand(self) -> Demand:
        """The resources that it waits for."""
        return Demand(self.id, self.unit, self.units or 1, self.accepted_ms, name=f"experiment {self.id}")

    @property
    def submission_id(self) -> str:
        """Ray's id of the current attempt."""
        return submission_id(self.id, self.attempt)

    @property
    def new_run_id(self) -> str:
        """The id of the MLflow run that the current attempt begins: the same for every service that makes it."""
        own = uuid.UUID(self.uid)
        return (own if self.attempt == 1 else uuid.uuid5(own, str(self.attempt))).hex

    @property
    def superseded_ids(self) -> tuple[str, ...]:
        return tuple(self.superseded.split())


class ExperimentTagRow(Table):
    """A tag of an experiment, for finding those that have it; the spec has them too, as the user wrote them."""

    __tablename__ = "experiment_tag"
    __table_args__ = (Index("ix_experiment_tag_tag", "tag", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tag: Mapped[str] = mapped_column(String(TAG_LENGTH), primary_key=True)


class ExperimentWordRow(Table):
    """A word of an experiment's name or tags; `weight` says where it is (words.py)."""

    __tablename__ = "experiment_word"
    __table_args__ = (Index("ix_experiment_word_word", "word", "weight", "accepted_ms", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    word: Mapped[str] = mapped_column(exact_text(MAX_WORD), primary_key=True)
    weight: Mapped[int] = mapped_column(Integer)
    accepted_ms: Mapped[int] = mapped_column(BigInteger)


class WordEndRow(Table):
    """An ending of a word that experiments have: the whole word, or a part of it."""

    __tablename__ = "word_end"

    is_part: Mapped[bool] = mapped_column(primary_key=True)
    ending: Mapped[str] = mapped_column(exact_text(MAX_WORD), primary_key=True)
    word: Mapped[str] = mapped_column(exact_text(MAX_WORD), primary_key=True)
