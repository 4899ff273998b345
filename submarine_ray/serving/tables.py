"""Endpoints: which model versions are to be served where, and what was observed of them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Double, Integer, String
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from submarine_ray.core.database import LongText, Table
from submarine_ray.core.leases import Claimable
from submarine_ray.core.sealed import Told
from submarine_ray.spec.quantities import Resources


class EndpointRow(Table):
    """One endpoint. The rows of a cluster are Ray Serve's whole desired state there."""

    __tablename__ = "endpoint"

    name: Mapped[str] = mapped_column(String(160), primary_key=True)
    model_name: Mapped[str] = mapped_column(String(128))
    model_version: Mapped[int] = mapped_column(Integer)
    model_uri: Mapped[str] = mapped_column(LongText)
    cluster: Mapped[str] = mapped_column(String(63), index=True)
    replicas: Mapped[int] = mapped_column(Integer)
    cpu: Mapped[float] = mapped_column(Double)
    memory: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    gpu: Mapped[float] = mapped_column(Double)
    status: Mapped[str] = mapped_column(String(20))
    message: Mapped[str | None] = mapped_column(Told)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)

    @property
    def each(self) -> Resources:
        """What one replica asks for."""
        return Resources(self.cpu, self.memory, self.gpu)


def split_name(model_name: str) -> str:
    """The name of the application that splits the requests; the colon keeps it apart from endpoints."""
    return f"traffic:{model_name}"


class TrafficRow(Table):
    """How a model's requests are shared out to its served versions; `weights` is JSON, version to weight."""

    __tablename__ = "traffic"

    model_name: Mapped[str] = mapped_column(String(128), primary_key=True)
    cluster: Mapped[str] = mapped_column(String(63), index=True)
    weights: Mapped[str] = mapped_column(LongText)
    status: Mapped[str] = mapped_column(String(20))
    message: Mapped[str | None] = mapped_column(Told)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)


class ServingRow(Claimable, Table):
    """The desired state of a cluster's Serve, which is replaced as a whole. Only the holder of the lease writes it.

    `generation` counts the changes of what users want there. The cluster shows the one that was last put (Fence).
    """

    __tablename__ = "serving"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)

    @classmethod
    def key(cls) -> InstrumentedAttribute[str]:
        return cls.cluster


class LookRow(Table):
    """When a control service last asked a cluster for the metrics of its endpoints, and whether there were any."""

    __tablename__ = "endpoint_look"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    asked_ms: Mapped[int] = mapped_column(BigInteger)
    known: Mapped[bool] = mapped_column(Boolean)


class CountsRow(Table):
    """All that had passed at an endpoint until one look; `buckets` is JSON: requests below each latency."""

    __tablename__ = "endpoint_counts"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(160), primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger, primary_key=True, index=True)
    errors: Mapped[float] = mapped_column(Double)
    buckets: Mapped[str] = mapped_column(LongText)
