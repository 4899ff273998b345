"""Saved documents."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import LongText, Table, exact_text
from submarine_ray.spec.saved import NAME_LENGTH


class SavedRow(Table):
    """One document; `document` is JSON that its kind's model has accepted."""

    __tablename__ = "saved"
    __table_args__ = (UniqueConstraint("kind", "owner", "name"), Index("ix_saved_seen", "kind", "audience"))

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(exact_text(NAME_LENGTH))
    owner: Mapped[str] = mapped_column(exact_text(128))
    audience: Mapped[str] = mapped_column(String(10))
    document: Mapped[str] = mapped_column(LongText)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)
