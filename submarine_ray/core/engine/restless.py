"""Slows down rows whose every step is due again at once: they would keep a worker busy without end."""

from __future__ import annotations

from dataclasses import replace

from submarine_ray.core.engine.backoff import Backoff
from submarine_ray.core.engine.feature import Outcome

AT_ONCE = 10
"""So many steps in a row may follow each other at once; a life of a row has fewer."""
LONGEST_MS = 30_000


class Restless:
    """Counts steps that ask for the next one at once; after some of them the next one comes ever later."""

    def __init__(self) -> None:
        self._at_once = Backoff(first_ms=1, longest_ms=LONGEST_MS)

    def settle(self, key: str, outcome: Outcome, now: int) -> Outcome:
        """The outcome of a row's step, with a later time for the next one if there were too many at once."""
        if outcome.due_ms > now:
            self._at_once.succeeded(key)
            return outcome
        count, pause = self._at_once.failed(key)
        if count <= AT_ONCE:
            return outcome
        return replace(outcome, values={**outcome.values, "next_check_ms": now + pause})
