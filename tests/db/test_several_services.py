"""Several control services behind one port, as `submarine up --services` starts them; without a cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from submarine_ray.cli import front, platform, several
from submarine_ray.cli.local_ray import StartFailed
from submarine_ray.spec.home import Home
from tests.conftest import MariaDb, wait_until
from tests.several import Several, together

pytestmark = pytest.mark.db

COUNT = 3


@pytest.fixture(scope="module")
def services(mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    # As deep as people's homes are: its sockets must fit all the same.
    home = tmp_path_factory.mktemp("several") / "home.of.somebody.with.a.very.long.name.that.sockets.do.not.like"
    with together(mariadb, Home(home), COUNT) as found:
        yield found


@pytest.fixture(autouse=True)
def whole(services: Several) -> None:
    services.start()
    wait_until(lambda: len(services.all_begun()) == COUNT, 20, "all are asked")


def test_requests_are_spread_and_those_with_a_cookie_stay(services: Several) -> None:
    with services.client() as client:
        assert len({services.begun(client) for _ in range(10)}) == 1
        cookie = next(one for one in client.cookies.jar if one.name == front.COOKIE)
        assert cookie.has_nonstandard_attr("HttpOnly") and cookie.value in {"1", "2", "3"}
        assert client.get("/api/v1/experiment").status_code == 200


def test_nobody_gets_in_without_the_token_whoever_the_front_belongs_to(services: Several) -> None:
    assert httpx.get(f"{services.url}/api/v1/experiment").status_code == 401
    for header in ("Forwarded", "X-Forwarded-For"):
        assert httpx.get(f"{services.url}/api/v1/experiment", headers={header: "127.0.0.1"}).status_code == 401
    assert services.home.token.stat().st_mode & 0o077 == 0
    with services.client() as client:
        assert client.post("/api/v1/session/link").status_code == 200


def test_a_service_knows_who_called_and_at_which_port(services: Several) -> None:
    with services.client() as client:
        link = client.post("/api/v1/session/link").json()["result"]["path"]
        assert client.get(link).status_code in (200, 303)
        assert client.post(link.split("?")[0], data={"link": link.split("=")[-1]}).status_code < 500
        assert {one["address"] for one in client.get("/api/v1/session").json()["result"]} <= {"127.0.0.1"}
    content = httpx.get(f"http://127.0.0.1:{services.content}/api/v1/experiment")
    assert (content.status_code, "shows only notebooks" in content.text) == (404, True)


def test_a_killed_service_is_missed_by_nobody_and_started_again(services: Several) -> None:
    with services.client() as client:
        client.get("/health")
        number = int(client.cookies[front.COOKIE])
        os.kill(services.pid(number), signal.SIGKILL)
        assert len({services.begun() for _ in range(20)}) == COUNT - 1
        assert client.get("/api/v1/experiment").status_code == 200
        assert int(client.cookies[front.COOKIE]) != number
    assert not several.one(services.home, number).process
    assert services.start() == [f"service {number}"]


def test_a_stopped_service_is_left_out(services: Several) -> None:
    pid = services.pid(2)
    os.kill(pid, signal.SIGSTOP)
    try:

        def is_left_out() -> bool:
            try:
                answers = [httpx.get(f"{services.url}/health", timeout=2).raise_for_status() for _ in range(8)]
            except httpx.HTTPError:  # it was asked: no answer in time, or a refusal by who is in front
                return False
            return len({answer.json()["startedTime"] for answer in answers}) == COUNT - 1

        wait_until(is_left_out, 60, "nobody is sent to it any more")
        assert services.start() == ["service 2"]  # in its place
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_all_dead_is_said_in_words_and_so_is_a_file_shared(
    services: Several, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(1, COUNT + 1):
        os.kill(services.pid(number), signal.SIGKILL)
    told = set()
    while 503 not in told:  # 502 until the front has noticed that the last one is gone
        answer = httpx.get(f"{services.url}/api/v1/experiment")
        told.add(answer.status_code)
        assert answer.status_code == answer.json()["code"] and "submarine status" in answer.json()["message"]
    assert told <= {502, 503}
    parts = {part.name: part for part in platform.status(services.home)}
    assert not parts["service 2"].running and "service-2.log" in parts["service 2"].details
    monkeypatch.delenv("SUBMARINE_DATABASE_URL", raising=False)
    with pytest.raises(StartFailed, match=r"cannot share a SQLite file.*SUBMARINE_DATABASE_URL"):
        platform.up(Home(tmp_path), services=2)
    with pytest.raises(StartFailed, match="3 control services run in this home; `submarine down`"):
        platform.up(services.home, services=2)
