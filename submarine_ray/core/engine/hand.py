"""The rows that this process has leased, and the heartbeat that renews the leases while it works on them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from submarine_ray.core.database import Database
from submarine_ray.core.leases import Claimable, Lessee, renew

LONGEST_STEP_MS = 3_600_000
"""Whoever works longer on one step hangs: the lease is renewed no more, and another takes the row."""


@dataclass
class Claim:
    """A row in hand. `until_ms`: when its lease ends unless it is renewed, by a clock that nobody can set.

    `is_ending`: what came of it is being written, which frees the row: a heartbeat that misses it lost nothing.
    """

    token: str
    taken_ms: int
    until_ms: int
    is_ending: bool = False
    is_lost: bool = False


class Hand:
    """Claims by the rows' keys; used by all threads of an engine."""

    def __init__(self, database: Database, table: type[Claimable], lessee: Lessee) -> None:
        self._database = database
        self._table = table
        self._lessee = lessee
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}

    def take(self, rows: Iterable[Claimable], begun_ms: int) -> None:
        """Note rows that were claimed; their leases are reckoned from `begun_ms` (Clock.even_ms), before the claim."""
        with self._lock:
            for row in rows:
                self._claims[row.row_key] = Claim(row.lock_token or "", begun_ms, begun_ms + self._lessee.lease_ms)

    def ending(self, keys: Iterable[str]) -> None:
        """Note that what came of these is about to be written."""
        with self._lock:
            for key in keys:
                if claim := self._claims.get(key):
                    claim.is_ending = True

    def let_go(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._claims.pop(key, None)

    def keys(self) -> list[str]:
        with self._lock:
            return list(self._claims)

    def tokens(self) -> dict[str, str]:
        with self._lock:
            return {key: claim.token for key, claim in self._claims.items()}

    def holds(self, key: str) -> bool:
        """Whether a row's lease has surely not ended. Time goes on while a process is stopped: it finds out here."""
        with self._lock:
            claim = self._claims.get(key)
            return claim is not None and not claim.is_lost and self._lessee.clock.even_ms() < claim.until_ms

    def renew(self) -> set[str]:
        """One heartbeat: make all leases as long as new ones; the keys of those that are lost now.

        A lost row stays in hand until the worker that has it lets go: this process does not claim it meanwhile.
        Raises DatabaseUnavailable: then the leases run on, and the next heartbeat may still be in time.
        """
        now = self._lessee.clock.even_ms()
        with self._lock:
            claims = {key: claim.token for key, claim in self._claims.items() if not claim.is_lost}
            hanging = {key for key in claims if now - self._claims[key].taken_ms >= LONGEST_STEP_MS}
        going = {key: token for key, token in claims.items() if key not in hanging}
        kept = self._renewed(going) if going else set()
        lost = set()
        with self._lock:
            for key, token in claims.items():
                claim = self._claims.get(key)
                if claim is None or claim.token != token:
                    continue  # what was let go of meanwhile was not lost
                if key in kept:
                    claim.until_ms = now + self._lessee.lease_ms
                elif not claim.is_ending:
                    claim.is_lost = True
                    lost.add(key)
        return lost

    def _renewed(self, claims: Mapping[str, str]) -> set[str]:
        with self._database.session(write=True) as session:
            return renew(session, self._table, self._lessee, claims)
