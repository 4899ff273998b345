"""What one control service remembers, and another of the same database changes: right within two seconds."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from fastapi.testclient import TestClient

from submarine_ray.access import live
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.sessions import Session
from submarine_ray.app import build
from submarine_ray.content.tickets import Tickets
from submarine_ray.core import events
from submarine_ray.core.database import Database
from submarine_ray.core.events import Event
from submarine_ray.core.follower import Follower
from submarine_ray.core.settings import Settings
from submarine_ray.platform import Platform
from submarine_ray.workbench.feed import Feed, Subscription
from tests.conftest import TOKEN, MariaDb, run, spec, wait_until

pytestmark = pytest.mark.db

SECONDS = 2.0
ADMINISTRATOR = Principal(PrincipalKind.ADMINISTRATOR, "token")


@pytest.fixture(scope="module")
def pair(mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, TestClient]]:
    """Two services over one database; no cluster, and no MLflow."""
    url, key = mariadb.database(f"across_{uuid.uuid4().hex[:8]}"), Fernet.generate_key().decode()

    @contextmanager
    def service(number: int) -> Iterator[TestClient]:
        home = tmp_path_factory.mktemp(f"service-{number}")
        settings = Settings(home=home, database_url=url, secret_key=key, token=TOKEN)  # type: ignore[arg-type]
        with patch("submarine_ray.tracking.service.load", lambda _settings: build):
            app = build(settings)
            client = TestClient(app, base_url="http://127.0.0.1:32080", headers={"Authorization": f"Bearer {TOKEN}"})
            with client:
                wait_until(lambda: app.state.platform.tracking.is_decided, 60, "it has been loaded")
                yield client

    with service(1) as first, service(2) as second:
        yield first, second


def platform(client: TestClient) -> Platform:
    app = client.app
    assert isinstance(app, FastAPI)
    found: Platform = app.state.platform
    return found


def created(client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["result"])


def test_who_waits_for_an_end_hears_of_one_that_another_service_has_seen(pair: tuple[TestClient, TestClient]) -> None:
    first, second = pair
    id = created(first, "experiment", spec())["experimentId"]
    with ThreadPoolExecutor(1) as waiting:
        ended = waiting.submit(first.get, f"/api/v1/experiment/{id}/end", params={"wait": 30})
        time.sleep(0.7)  # it waits by now, and has looked once
        begun = time.monotonic()
        second.delete(f"/api/v1/experiment/{id}").raise_for_status()
        assert ended.result(30).status_code == first.get(f"/api/v1/experiment/{id}").status_code
    assert time.monotonic() - begun < SECONDS


def test_a_notebook_that_another_service_has_deleted_leads_nowhere(pair: tuple[TestClient, TestClient]) -> None:
    first, second = pair
    made = created(first, "notebook", {"meta": {"name": "shared"}, "spec": {"resources": "cpu=1"}})
    assert platform(first).notebooks.address("default", "shared").id == made["notebookId"]
    second.post(f"/api/v1/notebook/{made['notebookId']}/stop").raise_for_status()
    wait_until(
        lambda: platform(first).notebooks.address("default", "shared").status != "creating", SECONDS, "it is seen"
    )


def test_pages_of_one_service_hear_what_another_records_also_late(database: Database) -> None:
    if database.engine.dialect.name == "sqlite":
        pytest.skip("one process owns the file")
    follower = Follower(database)
    heard: list[frozenset[str] | None] = []
    follower.add(heard.append)
    with database.session(write=True) as session:
        events.record(session, "experiment-0", [Event("Begun", "It began.")])
    follower.tick()
    other = Database(database.url)
    with other.session(write=True) as late:
        events.record(late, "experiment-late", [Event("Late", "Its transaction ends late.")])
        late.flush()
        with database.session(write=True) as session:
            events.record(session, "experiment-early", [Event("Early", "Its id is the later one.")])
        follower.tick()
    follower.tick()
    follower.tick()
    assert heard == [frozenset({"experiment-early"}), frozenset({"experiment-late"})]
    with database.session(write=True) as session:
        events.forget(session, "experiment-early")
    follower.tick()
    assert heard[2:] == [None]
    other.close()


def test_a_page_is_drawn_again_for_what_another_service_has_done(pair: tuple[TestClient, TestClient]) -> None:
    first, second = pair
    drawn = threading.Event()

    async def look() -> None:
        async def refresh() -> None:
            drawn.set()

        feed = Feed(platform(first).follower, platform(first).tracking)
        page = Subscription(("experiment-",), refresh)
        feed.add(page)
        try:
            await asyncio.sleep(1)  # what came before is told
            drawn.clear()
            await asyncio.to_thread(created, second, "experiment", spec())
            assert await asyncio.to_thread(drawn.wait, SECONDS)
        finally:
            await feed.close()

    run(look())


def test_a_ticket_opens_once_whichever_service_it_is_shown_to(pair: tuple[TestClient, TestClient]) -> None:
    first, second = (platform(one) for one in pair)
    tickets = [Tickets(one.content_key, one.sessions.spend) for one in (first, second)]
    origin, path, main = "http://127.0.0.1:32081", "/notebook/default/x/", "http://127.0.0.1:32080"
    given = tickets[0].ticket(ADMINISTRATOR, "", origin, path, main)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: tickets[number % 2].redeem(given, origin, path), range(8)))
    assert len([one for one in found if one]) == 1


def test_a_page_of_who_has_signed_out_at_another_service_is_closed(pair: tuple[TestClient, TestClient]) -> None:
    first, second = (platform(one).sessions for one in pair)
    cookie = first.begin(ADMINISTRATOR, "127.0.0.1")

    async def look() -> float:
        session = await first.find([cookie])
        assert isinstance(session, Session)
        closed = asyncio.Event()

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            while (await receive())["type"] != "websocket.disconnect":
                pass

        async def receive() -> dict[str, Any]:
            await closed.wait()
            return {"type": "websocket.disconnect", "code": 1008}

        async def send(message: dict[str, Any]) -> None:
            assert message["code"] == live.POLICY_VIOLATION
            closed.set()

        page = asyncio.create_task(live.run(app, {"type": "websocket"}, receive, send, session, first))
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await asyncio.to_thread(second.end, session.id)
        await asyncio.wait_for(page, 20)
        return time.monotonic() - begun

    assert run(look()) < SECONDS
    assert run(first.find([cookie])) is None
