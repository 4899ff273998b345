"""The workbench's feed: what it starts for a page ends with the page."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from submarine_ray.access.tokens import Tokens
from submarine_ray.core.database import Database
from submarine_ray.core.follower import Follower
from submarine_ray.core.settings import Settings
from submarine_ray.tracking.service import TrackingService
from submarine_ray.workbench.feed import Feed, Subscription
from submarine_ray.workbench.query_cache import QueryCache, run_query, shared


def test_a_page_that_reconnects_is_told_once_and_leaves_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()

    async def refresh() -> None:
        pass

    async def reconnect() -> list[str]:
        feed = Feed(Follower(database), TrackingService(Settings(home=tmp_path), Tokens(b"key")))
        page = Subscription(("experiment-",), refresh)
        feed.add(page)
        feed.add(page)
        feed.remove(page)
        await asyncio.sleep(0)
        left = [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "workbench page"]
        await feed.close()
        return left

    with ThreadPoolExecutor(1) as thread:  # a browser test before it may have left its loop running in this one
        assert thread.submit(asyncio.run, reconnect()).result() == []
    database.close()


def test_pages_that_hear_of_one_change_look_once_for_all(tmp_path: Path) -> None:
    asked: list[str] = []

    def look(what: str) -> str:
        asked.append(what)
        if what == "broken":
            raise RuntimeError(what)
        return what.upper()

    async def pages() -> None:
        cache = QueryCache()

        async def page(what: str) -> str:
            with shared(cache):
                return await run_query(look, what)

        assert await asyncio.gather(page("a"), page("a"), page("b")) == ["A", "A", "B"]
        assert sorted(asked) == ["a", "b"]
        cache.forget()
        assert await page("a") == "A"
        assert await run_query(look, "a") == "A"  # what a user did just now: others' look may be older
        assert asked.count("a") == 3
        for _ in range(2):  # a failure is nobody else's
            with pytest.raises(RuntimeError):
                await page("broken")
        assert asked.count("broken") == 2

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, pages()).result()


def test_a_page_of_what_no_event_tells_is_drawn_again_after_its_own_time(tmp_path: Path) -> None:
    """As the load of endpoints: within less time than all other pages wait."""
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()

    async def drawn() -> list[str]:
        found: list[str] = []
        told = asyncio.Event()

        async def often() -> None:
            found.append("often")
            told.set()

        async def seldom() -> None:
            found.append("seldom")

        feed = Feed(Follower(database), TrackingService(Settings(home=tmp_path), Tokens(b"key")))
        feed.add(Subscription(("endpoint",), often, seconds=0.1))
        feed.add(Subscription(("endpoint",), seldom, seconds=1e9))
        await asyncio.wait_for(told.wait(), 20)
        await feed.close()
        return found

    with ThreadPoolExecutor(1) as thread:
        assert set(thread.submit(asyncio.run, drawn()).result()) == {"often"}
    database.close()
