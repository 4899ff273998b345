"""All SQL about clusters."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from submarine_ray.clusters.drivers.base import Capacity
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.clock import now_ms
from submarine_ray.core.errors import AlreadyExists


def find(session: Session, name: str) -> ClusterRow | None:
    return session.get(ClusterRow, name)


def list_all(session: Session) -> list[ClusterRow]:
    return list(session.scalars(select(ClusterRow).order_by(ClusterRow.name)))


def add(session: Session, row: ClusterRow) -> None:
    """Raises AlreadyExists."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(f"A cluster named {row.name!r} exists; choose another name or delete it first.") from failure


def remove(session: Session, name: str) -> None:
    session.execute(delete(ClusterRow).where(ClusterRow.name == name))


def record_capacity(session: Session, name: str, capacity: Capacity) -> None:
    """Note that the cluster answered, and what it has."""
    total, largest = capacity.total, capacity.largest_node
    session.execute(
        update(ClusterRow)
        .where(ClusterRow.name == name)
        .values(
            observed_ms=now_ms(),
            healthy=True,
            message=None,
            incarnation=capacity.incarnation,
            nodes=capacity.nodes,
            total_cpu=total.cpu,
            total_memory=total.memory,
            total_gpu=total.gpu,
            node_cpu=largest.cpu,
            node_memory=largest.memory,
            node_gpu=largest.gpu,
        )
    )


def record_outage(session: Session, name: str, message: str) -> None:
    """Note that the cluster did not answer; what it had stays as last seen."""
    session.execute(
        update(ClusterRow).where(ClusterRow.name == name).values(observed_ms=now_ms(), healthy=False, message=message)
    )
