"""The clusters that the service knows, and what it last saw of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Integer, String
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import LongText, Table
from submarine_ray.core.leases import Claimable
from submarine_ray.core.sealed import Kept, Sealed, Told


class ClusterRow(Claimable, Table):
    """A cluster: desired state (address, sealed token; `spec` is all of it without secrets) and last observation (null
    until the first). `uid` marks what the service makes on it; `node_ids`, separated by blanks, are the living nodes.
    """

    __tablename__ = "cluster"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    address: Mapped[str | None] = mapped_column(String(512))
    sealed_token: Mapped[str | None] = mapped_column(LongText)
    serve_url: Mapped[str | None] = mapped_column(String(512))
    uid: Mapped[str | None] = mapped_column(String(36))
    spec: Mapped[Kept | None] = mapped_column(Sealed)
    sealed_kubeconfig: Mapped[str | None] = mapped_column(LongText)
    deleting: Mapped[bool] = mapped_column(default=False)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    observed_ms: Mapped[int | None] = mapped_column(BigInteger)
    healthy: Mapped[bool | None] = mapped_column()
    message: Mapped[str | None] = mapped_column(Told)
    incarnation: Mapped[str | None] = mapped_column(String(128))
    nodes: Mapped[int | None] = mapped_column(Integer)
    node_ids: Mapped[str | None] = mapped_column(LongText)
    starting: Mapped[int | None] = mapped_column(Integer)
    grace: Mapped[int | None] = mapped_column(Integer)
    total_cpu: Mapped[float | None] = mapped_column(Double)
    total_memory: Mapped[int | None] = mapped_column(BigInteger)
    total_gpu: Mapped[float | None] = mapped_column(Double)
    node_cpu: Mapped[float | None] = mapped_column(Double)
    node_memory: Mapped[int | None] = mapped_column(BigInteger)
    node_gpu: Mapped[float | None] = mapped_column(Double)
    next_check_ms: Mapped[int | None] = mapped_column(BigInteger, index=True, default=due_ms)

    @classmethod
    def key(cls) -> InstrumentedAttribute[str]:
        return cls.name

    @classmethod
    def lane(cls) -> InstrumentedAttribute[str]:
        return cls.name


class LaunchRow(Table):
    """A launch that waits to be fetched, sealed; and the run that has fetched it."""

    __tablename__ = "launch"

    submission: Mapped[str] = mapped_column(String(128), primary_key=True)
    sealed: Mapped[str] = mapped_column(LongText)
    made_ms: Mapped[int] = mapped_column(BigInteger)  # by core.clock.due_ms; so is taken_ms
    run: Mapped[str | None] = mapped_column(String(64))
    taken_ms: Mapped[int | None] = mapped_column(BigInteger)
