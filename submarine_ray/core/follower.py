"""What any service of the same database has recorded, told in this process: one query for all who want to know.

Whoever keeps something in memory that another service may change adds a listener here, and forgets it when told.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from submarine_ray.core import events
from submarine_ray.core.database import Database
from submarine_ray.core.events import Mark

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.5
# Ids are given when a row is written, and seen when its transaction ends: of two services' events the later id may be
# seen first. So many ids are looked at again.
OVERLAP = 200

Listener = Callable[[frozenset[str] | None], None]


class Follower:
    """Tells listeners whose subjects had events since the last look; None: anybody may have had some."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: list[Listener] = []
        self._looks: list[Callable[[], None]] = []
        self._known: frozenset[Mark] | None = None

    def add(self, listener: Listener) -> None:
        """`listener` is called in the follower's thread: it must not wait."""
        self._listeners.append(listener)

    def add_look(self, look: Callable[[], None]) -> None:
        """For what no event tells: `look` is called at each tick, for one query of its own."""
        self._looks.append(look)

    def tick(self) -> float:
        """Look once; the seconds until the next look. Raises DatabaseUnavailable."""
        with self._database.session() as session:
            found = events.newest(session, OVERLAP)
        before, self._known = self._known, found
        if before is not None and found != before:
            self._tell(_changed(before, found))
        for look in self._looks:
            look()
        return TICK_SECONDS

    def _tell(self, subjects: frozenset[str] | None) -> None:
        if subjects is not None and not subjects:
            return
        for listener in self._listeners:
            try:
                listener(subjects)
            except Exception:  # one listener's mistake must not keep the others in the dark
                log.exception("follower.listener_failed")


def _changed(before: frozenset[Mark], found: frozenset[Mark]) -> frozenset[str] | None:
    newest, earlier = max(before, default=None), max(found, default=None)
    if newest and (earlier is None or earlier.id < newest.id):
        return None  # the newest events were deleted, with their subject: nobody knows whose those were
    first = min(before, default=None)
    more = {mark for mark in found - before if first is None or len(before) < OVERLAP or mark.id >= first.id}
    if len(found) == OVERLAP and more == found:
        return None  # more has happened than was looked at
    return frozenset(mark.subject for mark in more)
