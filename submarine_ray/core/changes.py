"""Lets requests wait for a change without polling: whoever changes a subject notifies its waiters.

What another control service changes is heard by its events (core/follower.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator


class Changes:
    """Subjects are ids; `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = defaultdict(set)
        self._lock = threading.Lock()

    def tell(self, subject: str) -> None:
        """Wake everyone who waits for `subject`."""
        with self._lock:
            waiting = list(self._waiting.get(subject, ()))
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # its loop has been closed
                loop.call_soon_threadsafe(event.set)

    def tell_all(self, subjects: frozenset[str] | None) -> None:
        """Wake those who wait for one of these; for None, everyone."""
        with self._lock:
            waited = frozenset(self._waiting)
        for subject in waited if subjects is None else waited & subjects:
            self.tell(subject)

    @contextlib.contextmanager
    def heard(self, subject: str) -> Iterator[asyncio.Event]:
        """An event that is set at each change while the context lasts: enter it, look, then wait."""
        event = asyncio.Event()
        waiter = (asyncio.get_running_loop(), event)
        with self._lock:
            self._waiting[subject].add(waiter)
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[subject].discard(waiter)
                if not self._waiting[subject]:
                    del self._waiting[subject]
