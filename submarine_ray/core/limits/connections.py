"""Limits the number of connections, in all and for each peer, and reserves some for health checks."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

import structlog

log = structlog.get_logger(__name__)

MOST, MOST_OF_PEER = 4000, 2000
RESERVE = 32  # connections beyond the bound; there only health is answered
RESERVE_OF_PEER = 8
_OTHER_FILES = 256  # databases, logs, connections to clusters
_ENOUGH_FILES = 65_536
OPEN_PATHS = frozenset({b"/health", b"/ready"})


class Admittance(Enum):
    """What a connection may do."""

    ANY = "send any request"
    HEALTH = "ask how the service is"
    NONE = "nothing; there are too many"


@dataclass(frozen=True)
class Limits:
    """How large and how slow requests may be. Sizes are in bytes, times in seconds."""

    head_bytes: int = 64 * 2**10
    head_lines: int = 128
    head_seconds: float = 15.0
    """From a connection's or request's first moment to the end of its headers."""
    body_idle_seconds: float = 30.0
    """Between two pieces of a body, while the service is reading."""
    body_grace_seconds: float = 30.0
    body_rate: float = 1024.0
    """Bytes a second that a body must have in the mean, once the grace is over."""
    linger_seconds: float = 3.0
    """How long a body is received whose request is answered already."""
    unread_seconds: float = 120.0
    """How long a peer may leave what it was sent unread."""
    health_seconds: float = 3.0
    """As head_seconds, for connections beyond the bound."""
    pipelined: int = 16
    look_seconds: float = 2.0
    """How often a body's progress is looked at."""


class Connections:
    """Those that a service has, by peer. Of one event loop."""

    def __init__(self, most: int, most_of_peer: int, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._most = most
        self._most_of_peer = most_of_peer
        self._held: dict[Hashable, tuple[Hashable, Admittance]] = {}
        self._counts: Counter[tuple[Hashable, Admittance]] = Counter()
        self._of_kind: Counter[Admittance] = Counter()
        self._is_full = False

    def enter(self, connection: Hashable, peer: Hashable) -> Admittance:
        """Count a connection, once; what it may do."""
        if connection in self._held:
            return self._held[connection][1]
        admittance = self._admittance_of(peer)
        if admittance is not Admittance.ANY and not self._is_full:
            log.warning("connections.full", held=len(self._held), peer=str(peer))
        self._is_full = admittance is not Admittance.ANY
        if admittance is not Admittance.NONE:
            self._held[connection] = (peer, admittance)
            self._counts[peer, admittance] += 1
            self._of_kind[admittance] += 1
        return admittance

    def leave(self, connection: Hashable) -> None:
        if (found := self._held.pop(connection, None)) is not None:
            self._of_kind[found[1]] -= 1
            self._counts[found] -= 1
            if not self._counts[found]:
                del self._counts[found]

    def _admittance_of(self, peer: Hashable) -> Admittance:
        if self._of_kind[Admittance.ANY] < self._most and self._counts[peer, Admittance.ANY] < self._most_of_peer:
            return Admittance.ANY
        if self._of_kind[Admittance.HEALTH] < RESERVE and self._counts[peer, Admittance.HEALTH] < RESERVE_OF_PEER:
            return Admittance.HEALTH
        return Admittance.NONE


def possible(most: int) -> int:
    """`most`, or as many connections as this process may have files open for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    soft = max(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(RESERVE, min(most, soft - _OTHER_FILES))
