"""Tells open pages what has changed: two queries for all of them together, however many there are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import structlog

from submarine_ray.core import events
from submarine_ray.core.database import Database
from submarine_ray.core.errors import SubmarineError
from submarine_ray.tracking.service import TrackingService
from submarine_ray.workbench.looks import Looks, shared

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.5
CALM_SECONDS = 1.0  # a page is not drawn more often
ALL_SECONDS = 10.0  # what no event tells: a cluster's load, an endpoint's


@dataclass(eq=False)
class Subscription:
    """One page's: `topics` are beginnings of the subjects that it shows, `runs` the MLflow runs it draws."""

    topics: Collection[str]
    refresh: Callable[[], Awaitable[None]]
    runs: Collection[str] = ()
    looks: Looks = field(default_factory=Looks)
    _due: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._due.set()

    async def follow(self) -> None:
        """Refresh the page at each change, until cancelled; changes in the meantime are one."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                with shared(self.looks):
                    await self.refresh()
            except SubmarineError as failure:
                log.info("workbench.not_refreshed", why=str(failure))
            except Exception:  # one page's mistake must not end its liveness
                log.exception("workbench.refresh_failed")
            await asyncio.sleep(CALM_SECONDS)


class Feed:
    """Looks for changes while there is at least one page to tell."""

    def __init__(self, database: Database, tracking: TrackingService) -> None:
        self._database = database
        self._tracking = tracking
        self._pages: dict[Subscription, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._last: int | None = None
        self._marks: dict[str, tuple[int, int]] = {}
        self._looks = Looks()

    def add(self, page: Subscription) -> None:
        """Begin to tell a page; it ends with `remove`. A page that reconnects is added again, and told once."""
        if page in self._pages:
            return
        page.looks = self._looks
        self._pages[page] = asyncio.create_task(page.follow(), name="workbench page")
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="workbench feed")

    def remove(self, page: Subscription) -> None:
        task = self._pages.pop(page, None)
        if task is not None:
            task.cancel()

    async def _watch(self) -> None:
        self._last = None
        slow = 0.0
        while self._pages:
            slow += TICK_SECONDS
            try:
                changed = await asyncio.to_thread(self._changed)
                drawn = await asyncio.to_thread(self._drawn)
            except SubmarineError:  # the database is away: pages show what they have
                changed, drawn = set(), set()
            except Exception:  # a mistake of ours must not end the liveness of every page
                log.exception("workbench.feed_failed")
                changed, drawn = set(), set()
            if changed or drawn or slow >= ALL_SECONDS:
                self._looks.forget()
            for page in list(self._pages):
                told = any(subject.startswith(topic) for subject in changed for topic in page.topics)
                if told or slow >= ALL_SECONDS or not drawn.isdisjoint(page.runs):
                    page.wake()
            slow = 0.0 if slow >= ALL_SECONDS else slow
            await asyncio.sleep(TICK_SECONDS)

    def _changed(self) -> set[str]:
        with self._database.session() as session:
            newest, subjects = events.since(session, self._last)
        # SQLite gives a deleted event's id to the next one: then nobody knows who was meant.
        shrunk = self._last is not None and newest < self._last
        self._last = newest
        return {topic for page in list(self._pages) for topic in page.topics} if shrunk else subjects

    def _drawn(self) -> set[str]:
        runs = {run for page in list(self._pages) for run in page.runs}
        if not runs:
            return set()
        found = self._tracking.marks(runs)
        moved = {run for run, mark in found.items() if self._marks.get(run) != mark}
        self._marks = found
        return moved

    async def close(self) -> None:
        for page in list(self._pages):
            self.remove(page)
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
