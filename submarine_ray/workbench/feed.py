"""Tells open pages what has changed: one query for all of them together, beside that of the follower of events."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

import structlog

from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.follower import Follower
from submarine_ray.tracking.curves import Mark
from submarine_ray.tracking.service import TrackingService
from submarine_ray.workbench.query_cache import QueryCache, shared

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.5
CALM_SECONDS = 1.0  # a page is not drawn more often
ALL_SECONDS = 10.0  # what no event tells: a cluster's load, an endpoint's


@dataclass(eq=False)
class Subscription:
    """One page's: `topics` are beginnings of the subjects that it shows, `runs` the MLflow runs it draws. After
    `seconds` it is refreshed whatever has happened.
    """

    topics: Collection[str]
    refresh: Callable[[], Awaitable[None]]
    runs: Collection[str] = ()
    seconds: float = ALL_SECONDS
    cache: QueryCache = field(default_factory=QueryCache)
    _due: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._due.set()

    async def follow(self) -> None:
        """Refresh the page at each change, until cancelled; changes in the meantime are one."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                with shared(self.cache):
                    await self.refresh()
            except SubmarineError as failure:
                log.info("workbench.not_refreshed", why=str(failure))
            except Exception:  # one page's mistake must not end its liveness
                log.exception("workbench.refresh_failed")
            await asyncio.sleep(CALM_SECONDS)


class Feed:
    """Looks for changes while there is at least one page to tell."""

    def __init__(self, follower: Follower, tracking: TrackingService) -> None:
        self._tracking = tracking
        self._pages: dict[Subscription, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._heard: set[str] = set()
        self._heard_all = False
        self._lock = threading.Lock()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._marks: dict[str, Mark] = {}
        self._cache = QueryCache()
        follower.add(self._hear)

    def add(self, page: Subscription) -> None:
        """Begin to tell a page; it ends with `remove`. A page that reconnects is added again, and told once."""
        if page in self._pages:
            return
        page.cache = self._cache
        self._pages[page] = asyncio.create_task(page.follow(), name="workbench page")
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="workbench feed")

    def remove(self, page: Subscription) -> None:
        task = self._pages.pop(page, None)
        if task is not None:
            task.cancel()

    async def _watch(self) -> None:
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._taken()  # what was heard before there was a page
        before = drawn_at = self._loop.time()
        while self._pages:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), TICK_SECONDS)
            self._news.clear()
            now = self._loop.time()
            changed, drawn = self._taken(), set[str]()
            if now - drawn_at >= TICK_SECONDS:
                drawn_at = now
                try:
                    drawn = await asyncio.to_thread(self._drawn)
                except SubmarineError:  # the database is away: pages show what they have
                    pass
                except Exception:  # a mistake of ours must not end the liveness of every page
                    log.exception("workbench.feed_failed")
            # On the clock, and not since each page was opened: those that are open share what they ask.
            late = {page for page in self._pages if now // page.seconds > before // page.seconds}
            before = now
            if changed or drawn or late:
                self._cache.forget()
            for page in list(self._pages):
                told = any(subject.startswith(topic) for subject in changed for topic in page.topics)
                if told or page in late or not drawn.isdisjoint(page.runs):
                    page.wake()

    def _hear(self, subjects: frozenset[str] | None) -> None:
        """From the follower's thread."""
        with self._lock:
            self._heard |= subjects or set()
            self._heard_all = self._heard_all or subjects is None
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has been closed
                loop.call_soon_threadsafe(self._news.set)

    def _taken(self) -> set[str]:
        """What was heard since the last look."""
        with self._lock:
            heard, self._heard = self._heard, set()
            is_all, self._heard_all = self._heard_all, False
        return {topic for page in list(self._pages) for topic in page.topics} if is_all else heard

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
