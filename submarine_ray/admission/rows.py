"""Rows that wait for room: their columns, and what admission and clusters read of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from sqlalchemy import BigInteger, ColumnElement, Double, and_
from sqlalchemy.orm import Mapped, Session, mapped_column

from submarine_ray.admission.decide import Demand
from submarine_ray.core.database import Database
from submarine_ray.spec.quantities import SLACK, Resources


class Waiting:
    """A row that waits for room on a cluster, and holds it once it has started."""

    demand_cpu: Mapped[float] = mapped_column(Double, default=0.0)
    demand_memory: Mapped[int] = mapped_column(BigInteger, default=0)
    demand_gpu: Mapped[float] = mapped_column(Double, default=0.0)

    @property
    def unit(self) -> Resources:
        """What it asks for once."""
        return Resources(self.demand_cpu, self.demand_memory, self.demand_gpu)

    @property
    def demand(self) -> Demand:
        """What it asks of admission."""
        raise NotImplementedError

    @classmethod
    def fits(cls, within: Resources) -> ColumnElement[bool]:
        """That a row asks for no more than this."""
        cpu, gpu = cls.demand_cpu <= within.cpu + SLACK, cls.demand_gpu <= within.gpu + SLACK
        return and_(cpu, cls.demand_memory <= within.memory, gpu)


class Repository(Protocol):
    """The module with a feature's SQL, as far as it is needed here."""

    def waiting(self, session: Session, cluster: str, within: Resources, limit: int) -> Sequence[Waiting]:
        """The rows that wait for room on a cluster and ask for no more than `within`, in their order."""

    def still_waiting(self, session: Session, ids: Collection[str]) -> Sequence[Waiting]:
        """Those of the ids that wait for room."""

    def unfinished(self, session: Session, cluster: str) -> int:
        """How many of a cluster's rows are not yet cleaned up."""


class Line:
    """The part of an admission.Claimant and of a ClusterUser that is the same for every feature whose rows wait."""

    def __init__(self, database: Database, repository: Repository) -> None:
        self._database = database
        self._repository = repository

    def waiting(self, cluster: str, within: Resources, limit: int) -> list[Demand]:
        """See admission.Claimant."""
        with self._database.session() as session:
            return [row.demand for row in self._repository.waiting(session, cluster, within, limit)]

    def still_waiting(self, ids: Collection[str]) -> list[Demand]:
        """See admission.Claimant."""
        with self._database.session() as session:
            return [row.demand for row in self._repository.still_waiting(session, ids)]

    def unfinished(self, cluster: str) -> int:
        """See ClusterUser."""
        with self._database.session() as session:
            return self._repository.unfinished(session, cluster)
