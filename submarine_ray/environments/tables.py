"""Environments that experiments and notebooks refer to by name."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table
from submarine_ray.core.sealed import Kept, Sealed


class EnvironmentRow(Table):
    """One environment; `spec` is its EnvironmentSpec as JSON."""

    __tablename__ = "environment"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    spec: Mapped[Kept] = mapped_column(Sealed)
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    changed_ms: Mapped[int] = mapped_column(BigInteger)
