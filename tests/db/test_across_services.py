"""What one control service remembers, and another of the same database changes: right within two seconds."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from fastapi.testclient import TestClient

from submarine_ray.access import live, reach, sessions
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.reach import Holders, Remembered
from submarine_ray.access.sessions import Session
from submarine_ray.app import build
from submarine_ray.clusters.drivers.base import Capacity
from submarine_ray.clusters.observed import columns
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.content.tickets import Tickets
from submarine_ray.core import events, follower
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.events import Event
from submarine_ray.core.follower import Follower
from submarine_ray.core.settings import Settings
from submarine_ray.experiments import service as experiments
from submarine_ray.notebooks import service as notebooks
from submarine_ray.platform import Platform
from submarine_ray.serving import meter
from submarine_ray.serving.tables import EndpointRow
from submarine_ray.spec.quantities import Resources
from submarine_ray.workbench import feed as feed_module
from submarine_ray.workbench.feed import Feed, Subscription
from submarine_ray.workbench.query_cache import run_query
from tests.conftest import START_SECONDS, TOKEN, MariaDb, run, spec, wait_until
from tests.unit.test_endpoint_metrics import prometheus

pytestmark = pytest.mark.db

# A busy machine takes longer than the two seconds that are promised; the other ways to learn of a change take longer still.
SECONDS = 20.0
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
                wait_until(lambda: app.state.platform.tracking.is_decided, START_SECONDS, "it has been loaded")
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


def test_nothing_is_remembered_for_longer_than_two_seconds() -> None:
    assert max(follower.TICK_SECONDS, sessions.KNOWN_SECONDS, reach.KNOWN_SECONDS, notebooks.ADDRESS_SECONDS) <= 2


def test_who_waits_for_an_end_hears_of_one_that_another_service_has_seen(
    pair: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "UNHEARD_SECONDS", 3600.0)  # it hears, or waits for all of its minute
    first, second = pair
    id = created(first, "experiment", spec())["experimentId"]
    with ThreadPoolExecutor(1) as waiting:
        ended = waiting.submit(first.get, f"/api/v1/experiment/{id}/end", params={"wait": 60})
        time.sleep(0.7)  # it waits by now, and has looked once
        second.delete(f"/api/v1/experiment/{id}").raise_for_status()
        assert ended.result(SECONDS).status_code == first.get(f"/api/v1/experiment/{id}").status_code


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
    follows = Follower(database)
    heard: list[frozenset[str] | None] = []
    follows.add(heard.append)
    with database.session(write=True) as session:
        events.record(session, "experiment-0", [Event("Begun", "It began.")])
    follows.tick()
    other = Database(database.url)
    with other.session(write=True) as late:
        events.record(late, "experiment-late", [Event("Late", "Its transaction ends late.")])
        late.flush()
        with database.session(write=True) as session:
            events.record(session, "experiment-early", [Event("Early", "Its id is the later one.")])
        follows.tick()
    follows.tick()
    follows.tick()
    assert heard == [frozenset({"experiment-early"}), frozenset({"experiment-late"})]
    with database.session(write=True) as session:
        events.forget(session, "experiment-early")
    follows.tick()
    assert heard[2:] == [None]
    other.close()


def test_a_page_is_drawn_again_for_what_another_service_has_done(
    pair: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "ALL_SECONDS", 3600.0)
    first, second = pair
    drawn, shown = threading.Event(), list[int]()
    count = platform(first).experiments.count_by_state

    async def look() -> None:
        async def refresh() -> None:
            shown.append(sum((await run_query(count)).values()))
            drawn.set()

        feed = Feed(platform(first).follower, platform(first).tracking)
        page = Subscription(("experiment-",), refresh)
        feed.add(page)
        try:
            await asyncio.sleep(1)  # what came before is told
            page.wake()  # and its answers are remembered
            assert await asyncio.to_thread(drawn.wait, SECONDS)
            await asyncio.to_thread(created, second, "experiment", spec())
            await asyncio.to_thread(wait_until, lambda: shown[-1] == shown[0] + 1, SECONDS, "the page shows one more")
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

    async def look() -> None:
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
        await asyncio.to_thread(second.end, session.id)
        await asyncio.wait_for(page, SECONDS)  # of itself it looks every half a minute

    run(look())
    assert run(first.find([cookie])) is None


class Metered:
    """A cluster whose endpoint gets a hundred requests between two looks."""

    looks = 0

    def serve_metrics(self, applications: Collection[str] = ()) -> list[str]:
        self.looks += 1
        passed = 100 * self.looks
        return [prometheus({"200": (0, passed, passed, passed)}, application="metered-1")]


def test_an_endpoint_has_one_history_whichever_service_answers(
    pair: tuple[TestClient, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    services, cluster, now = [platform(one) for one in pair], Metered(), [due_ms()]
    monkeypatch.setattr(meter, "due_ms", lambda: now[0])
    for one in services:
        monkeypatch.setattr(one.clusters, "driver", lambda _name: cluster)
    with services[0].database.session(write=True) as session:
        what = {"name": "metered-1", "model_name": "metered", "model_version": 1, "model_uri": "", "cluster": "metered"}
        times = {"created_ms": 1, "changed_ms": 1}
        session.add(EndpointRow(**what, **times, replicas=1, cpu=1, gpu=0, status="RUNNING"))
    for number in range(6):
        now[0] += 10_000
        found = [one.serving.metrics("metered", 1) for one in (services[number % 2], services[1 - number % 2])]
        assert found[0] == found[1] and len(found[0].history) == number and found[0].known
        now[0] += 1_000
        assert services[number % 2].serving.metrics("metered", 1) == found[0]
    assert cluster.looks == 6 and found[0].requests == 600 and found[0].requests_per_second == pytest.approx(9.09, 0.01)
    asked = [pair[0].get(f"/api/v1/serve/metered/1/{name}").json()["result"] for name in ("metrics", "figures")]
    assert asked[0]["history"] == asked[1]["course"] and len(asked[0]["history"]) == 5  # `figures` is the older name
    rates = [one.serving.all_rates()["metered-1"] for one in services]
    assert rates[0] == rates[1] and rates[0].requests_per_second == found[0].requests_per_second
    now[0] += 3_600_000
    assert len(services[0].serving.metrics("metered", 1).history) == 0  # what is older than that is dropped


def test_rights_that_end_at_another_service_are_known_to_have_ended(pair: tuple[TestClient, TestClient]) -> None:
    first, second = pair
    id = created(first, "notebook", {"meta": {"name": "entitled"}, "spec": {"resources": "cpu=1"}})["notebookId"]
    one = platform(second)
    holders = Remembered(Holders(one.attempts.find, one.notebooks.is_wanted, one.serving.served_by))
    assert holders.notebook(id)
    first.delete(f"/api/v1/notebook/{id}").raise_for_status()
    wait_until(lambda: not holders.notebook(id), SECONDS, "its token opens nothing any more")


def test_what_a_cluster_has_is_known_at_once_whoever_has_looked(pair: tuple[TestClient, TestClient]) -> None:
    first, second = (platform(one) for one in pair)
    with first.database.session(write=True) as session:
        session.add(ClusterRow(name="seen", kind="ray", address="http://127.0.0.1:9", created_ms=1))
    for cpus in (2.0, 4.0):
        found = Capacity("head", Resources(cpus, 2**30), Resources(cpus, 2**30), frozenset({"node"}))
        with first.database.session(write=True) as session:
            row = session.get_one(ClusterRow, "seen")
            for column, value in {**columns(found), "next_check_ms": due_ms() + 60_000}.items():
                setattr(row, column, value)
        assert second.clusters.capacity("seen").total == Resources(cpus, 2**30)
