"""Browsers that are signed in: a random id in a cookie, whose hash the database has; and links that sign in once.

A session ends when somebody signs out, when it is revoked, when it expires, and when the service's token changes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.orm import Session as OrmSession

from submarine_ray.access import repository
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.tables import LinkRow, SessionRow
from submarine_ray.core.clock import iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, NotFound
from submarine_ray.core.settings import Settings
from submarine_ray.spec.sign_ins import SignInSession

log = structlog.get_logger(__name__)

KNOWN_SECONDS = 2.0  # how long another service of the same database may go on to answer one who has signed out there
MOST_KNOWN = 4096
AT_ONCE = 500
USE_MS = 60_000  # the last use is written so often
LINK_SECONDS = 600
LONGEST_SECRET = 100


@dataclass(frozen=True)
class Session:
    """One browser that is signed in, and as whom."""

    id: str
    principal: Principal
    expires_ms: int


Find = Callable[[OrmSession], SessionRow | None]


class Sessions:
    """Begins, finds and ends them."""

    def __init__(self, database: Database, settings: Settings, key: bytes) -> None:
        """`key` is used for nothing else; services that share a database share it."""
        self._database = database
        self._key = key
        self.seconds = settings.session_seconds
        token = settings.token.get_secret_value() if settings.token else ""
        self._credential = hmac.digest(key, token.encode(), hashlib.sha256).hex()
        self._known: dict[str, tuple[float, Session | None]] = {}
        self._ended = 0
        self._watched: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._lock = threading.Lock()

    def begin(self, principal: Principal, address: str) -> str:
        """The secret of a new session, for its cookie."""
        secret = self._made()
        now = now_ms()
        row = SessionRow(
            id=secrets.token_hex(8),
            secret_hash=_hash(secret),
            kind=principal.kind.value,
            name=principal.name[:128],
            credential=self._credential,
            address=address[:64],
            created_ms=now,
            used_ms=now,
            expires_ms=now + self.seconds * 1000,
        )
        with self._database.session(write=True) as session:
            repository.remove_expired(session, now)
            repository.add(session, row)
        log.info("access.signed_in", session=row.id, how=principal.name, address=address)
        return secret

    def link(self) -> tuple[str, int]:
        """The secret of a link that signs an administrator in, once; and until when, in ms since 1970."""
        secret = self._made()
        now = now_ms()
        row = LinkRow(secret_hash=_hash(secret), credential=self._credential, expires_ms=now + LINK_SECONDS * 1000)
        with self._database.session(write=True) as session:
            repository.remove_expired(session, now)
            repository.add(session, row)
        return secret, row.expires_ms

    def take_link(self, secret: str) -> Principal | None:
        """Use a link up; None if it has been used, or is too old, or never was one."""
        if not self._is_ours(secret):
            return None
        with self._database.session(write=True) as session:
            taken = repository.take_link(session, _hash(secret), self._credential, now_ms())
        return Principal(PrincipalKind.ADMINISTRATOR, "link") if taken else None

    async def find(self, cookies: list[str]) -> Session | None:
        """The session of one of these secrets. Raises DatabaseUnavailable."""
        for secret in cookies[:4]:
            if not self._is_ours(secret):
                continue
            digest = _hash(secret)
            if found := await self._known_as(digest, partial(repository.find, secret_hash=digest)):
                return found
        return None

    async def of_id(self, id: str) -> Session | None:
        """The session of this id, for what was given to it instead of its cookie. Raises DatabaseUnavailable."""
        return await self._known_as(f"id {id}", partial(repository.find_id, id=id))

    async def _known_as(self, key: str, find: Find) -> Session | None:
        asked, found = self._known.get(key, (float("-inf"), None))
        if time.monotonic() - asked > KNOWN_SECONDS:
            found = await asyncio.to_thread(self._look, key, find)
        return found if found is not None and found.expires_ms > now_ms() else None

    def list_all(self) -> list[SignInSession]:
        """All that have not expired, newest first."""
        with self._database.session() as session:
            rows = [row for row in repository.list_all(session, now_ms()) if row.credential == self._credential]
        return [
            SignInSession(
                session_id=row.id,
                signed_in_by=row.name,
                address=row.address,
                created_time=iso(row.created_ms),
                used_time=iso(row.used_ms),
                expires_time=iso(row.expires_ms),
            )
            for row in rows
        ]

    def end(self, id: str) -> None:
        """Sign it out: nothing that holds its cookie gets in any more. Raises NotFound."""
        with self._database.session(write=True) as session:
            removed = repository.remove(session, id)
        self._stop_watching(id)
        if not removed:
            raise NotFound(f"There is no session {id!r}; GET /api/v1/session lists them.")
        log.info("access.signed_out", session=id)

    def look_at_watched(self) -> None:
        """End the watches of sessions that another service of the database has ended. Raises DatabaseUnavailable."""
        with self._lock:
            watched = list(self._watched)
        for begin in range(0, len(watched), AT_ONCE):
            some = set(watched[begin : begin + AT_ONCE])
            with self._database.session() as session:
                gone = some - repository.which(session, some)
            for id in gone:
                self._stop_watching(id)

    def spend(self, number: str, until_ms: int) -> bool:
        """Use up a ticket that is valid until `until_ms`; False if any service of the database has used it before.
        Raises DatabaseUnavailable.
        """
        try:
            with self._database.session(write=True) as session:
                repository.remove_expired(session, now_ms())
                repository.spend(session, number, until_ms)
        except AlreadyExists:
            return False
        return True

    def _stop_watching(self, id: str) -> None:
        with self._lock:
            self._known.clear()
            self._ended += 1
            watching = list(self._watched.get(id, ()))
        for loop, ended in watching:
            with suppress(RuntimeError):  # its loop has been closed
                loop.call_soon_threadsafe(ended.set)

    @contextmanager
    def watched(self, session: Session) -> Iterator[asyncio.Event]:
        """What is set when the session is ended: here at once, by another service at the next `look_at_watched`."""
        entry = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._watched.setdefault(session.id, set()).add(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._watched[session.id].discard(entry)
                if not self._watched[session.id]:
                    del self._watched[session.id]

    def _made(self) -> str:
        secret = secrets.token_urlsafe(32)
        return f"{secret}.{self._seal(secret)}"

    def _is_ours(self, secret: str) -> bool:
        """Whether this service made it: strangers' inventions cost the database nothing."""
        said, _, seal = secret.partition(".")
        return len(secret) <= LONGEST_SECRET and hmac.compare_digest(seal.encode(), self._seal(said).encode())

    def _seal(self, secret: str) -> str:
        return hmac.digest(self._key, secret.encode(), hashlib.sha256)[:12].hex()

    def _look(self, key: str, find: Find) -> Session | None:
        asked, ended = time.monotonic(), self._ended
        with self._database.session() as session:
            row = find(session)
            is_valid = row is not None and hmac.compare_digest(row.credential, self._credential)
            found = Session(row.id, Principal(PrincipalKind(row.kind), row.name), row.expires_ms) if is_valid else None  # type: ignore[union-attr]
        if found is not None and row is not None and now_ms() - row.used_ms > USE_MS:
            with self._database.session(write=True) as session:
                repository.note_use(session, found.id, now_ms())
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            if ended == self._ended:  # else it may be the one that was ended while we looked
                self._known[key] = asked, found
        return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
