"""What users marked and opened."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table, exact_text

USER_LENGTH, KEY_LENGTH = 128, 160


class VisitRow(Table):
    """A user and a thing: when they last opened its page, and since when it is a favourite."""

    __tablename__ = "visit"
    __table_args__ = (Index("ix_visit_opened", "user", "opened_ms"), Index("ix_visit_object", "kind", "object"))

    user: Mapped[str] = mapped_column(exact_text(USER_LENGTH), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    object: Mapped[str] = mapped_column(exact_text(KEY_LENGTH), primary_key=True)
    opened_ms: Mapped[int | None] = mapped_column(BigInteger)
    starred_ms: Mapped[int | None] = mapped_column(BigInteger)
