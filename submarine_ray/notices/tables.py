"""Notices, who follows what, and the kinds that users have switched off."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table, exact_text
from submarine_ray.core.sealed import Told


class FollowRow(Table):
    """A user who has made or started something, and the subject of its events."""

    __tablename__ = "follow"

    subject: Mapped[str] = mapped_column(String(160), primary_key=True)
    user: Mapped[str] = mapped_column(exact_text(128), primary_key=True, index=True)


class NoticeRow(Table):
    """A notice of a user: `outcome` is the status that the subject has now."""

    __tablename__ = "notice"
    __table_args__ = (
        Index("ix_notice_user", "user", "id"),
        Index("ix_notice_unread", "user", "is_read"),
        Index("ix_notice_subject", "subject", "id"),
        Index("ix_notice_time_ms", "time_ms"),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    user: Mapped[str] = mapped_column(exact_text(128))
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(160))
    outcome: Mapped[str] = mapped_column(String(20))
    message: Mapped[str] = mapped_column(Told)
    time_ms: Mapped[int] = mapped_column(BigInteger)
    is_read: Mapped[bool] = mapped_column(default=False)


class MutedRow(Table):
    """A kind of notices that a user does not want."""

    __tablename__ = "notice_muted"

    user: Mapped[str] = mapped_column(exact_text(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
