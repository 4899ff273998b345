"""All SQL about admission."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from submarine_ray.admission.tables import AdmissionRow


def book(session: Session, cluster: str) -> dict[str, AdmissionRow]:
    """All that admission knows of a cluster, by id."""
    return {row.id: row for row in session.scalars(select(AdmissionRow).where(AdmissionRow.cluster == cluster))}


def strike(session: Session, ids: Collection[str]) -> None:
    """Forget these."""
    if ids:
        session.execute(delete(AdmissionRow).where(AdmissionRow.id.in_(ids)))
