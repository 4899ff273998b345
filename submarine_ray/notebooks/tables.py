"""Notebooks: the desired state (spec, wanted) and what was observed of it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.admission.decide import Demand
from submarine_ray.admission.rows import Waiting
from submarine_ray.clusters.drivers.base import submission_id
from submarine_ray.core.database import LongText, Table
from submarine_ray.core.leases import Reconciled
from submarine_ray.core.sealed import Kept, Sealed, Told


class NotebookRow(Reconciled, Waiting, Table):
    """One notebook. `taken` is its path until it is deleted: names may be used again while the old one ends.

    `superseded` holds the submission ids of earlier starts that the cluster may still know, blank-separated. `address`
    is where JupyterLab listens (host:port), `failures` how often it ended by itself since a user started it.
    """

    __tablename__ = "notebook"
    __table_args__ = (
        Index("ix_notebook_list", "created_ms", "id"),
        Index("ix_notebook_cluster", "cluster", "status"),
    )

    uid: Mapped[str] = mapped_column(String(36))
    namespace: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(63))
    taken: Mapped[str | None] = mapped_column(String(160), unique=True)
    owner: Mapped[str | None] = mapped_column(String(64), index=True)
    cluster: Mapped[str] = mapped_column(String(63))
    spec: Mapped[Kept] = mapped_column(Sealed)
    environment: Mapped[Kept] = mapped_column(Sealed)
    sealed_token: Mapped[str] = mapped_column(LongText)
    wanted: Mapped[str] = mapped_column(String(10), default="run")
    status: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Told)
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    superseded: Mapped[str] = mapped_column(LongText, default="")
    incarnation: Mapped[str | None] = mapped_column(String(128))
    address: Mapped[str | None] = mapped_column(String(255))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    deleted_ms: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def demand(self) -> Demand:
        """What it waits for, or holds; it does not end by itself."""
        name = f"notebook {self.namespace}/{self.name}"
        return Demand(self.id, self.unit, ends=False, takes_slot=False, name=name)

    @property
    def submission_id(self) -> str:
        """Ray's id of the current start."""
        return submission_id(self.id, self.attempt)

    @property
    def superseded_ids(self) -> tuple[str, ...]:
        return tuple(self.superseded.split())
