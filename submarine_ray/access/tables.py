"""Who is signed in, the links that sign somebody in, and the tickets that were used. Of the first two only hashes are
kept: the database opens nothing.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table


class SessionRow(Table):
    """One browser that is signed in; `credential` is a fingerprint of the service's token at that time."""

    __tablename__ = "sign_in_session"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(128))
    credential: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    used_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class LinkRow(Table):
    """A link that signs a browser in, once."""

    __tablename__ = "sign_in_link"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    credential: Mapped[str] = mapped_column(String(64))
    expires_ms: Mapped[int] = mapped_column(BigInteger, index=True)


class SpentTicketRow(Table):
    """A ticket to content that was used (content/tickets.py), until it would have expired anyway."""

    __tablename__ = "spent_ticket"

    number: Mapped[str] = mapped_column(String(32), primary_key=True)
    expires_ms: Mapped[int] = mapped_column(BigInteger, index=True)
