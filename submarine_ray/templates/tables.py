"""Templates that experiments are made from."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, false
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table
from submarine_ray.core.sealed import Kept, Sealed


class TemplateRow(Table):
    """One template; `spec` is its TemplateSpec as JSON. Those of the library come with the platform, and stay so."""

    __tablename__ = "template"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    spec: Mapped[Kept] = mapped_column(Sealed)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    changed_ms: Mapped[int] = mapped_column(BigInteger)
    library: Mapped[bool] = mapped_column(default=False, server_default=false())
