"""All SQL about admission."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from submarine_ray.admission.tables import AdmissionRow
from submarine_ray.clusters.tables import ClusterRow


def lock(session: Session, cluster: str) -> bool:
    """Decide alone about this cluster until the transaction ends; False if there is no such cluster.

    On SQLite the transaction itself is alone: it must have been begun to write.
    """
    return session.scalar(select(ClusterRow.name).where(ClusterRow.name == cluster).with_for_update()) is not None


def book(session: Session, cluster: str) -> dict[str, AdmissionRow]:
    """All that admission knows of a cluster, by id."""
    return {row.id: row for row in session.scalars(select(AdmissionRow).where(AdmissionRow.cluster == cluster))}


def strike(session: Session, ids: Collection[str]) -> None:
    """Forget these."""
    if ids:
        session.execute(delete(AdmissionRow).where(AdmissionRow.id.in_(ids)))
