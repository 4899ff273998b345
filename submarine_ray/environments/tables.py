"""Environments that experiments and notebooks refer to by name."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import LongText, Table


class EnvironmentRow(Table):
    """One environment; `spec` is its EnvironmentSpec as JSON."""

    __tablename__ = "environment"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    spec: Mapped[str] = mapped_column(LongText)
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    changed_ms: Mapped[int] = mapped_column(BigInteger)
