"""What a sweep's driver asks the service, and what it makes of the answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from submarine_ray.runner.tune import wishes as module
from submarine_ray.runner.tune.wishes import Wishes
from submarine_ray.spec.launch import Launch, Replica, Tracking, Tune
from tests.conftest import free_port, wait_until


class Played:
    """A service that answers what a test wants, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.tokens: set[str | None] = set()
        self.status = 200
        self.answer: dict[str, Any] = {"numSamples": 4, "stopped": [], "version": "4-0"}
        self.turn = threading.Semaphore(0)
        self.is_open = threading.Event()
        played = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = {name: value[0] for name, value in parse_qs(urlsplit(self.path).query, True).items()}
                played.tokens.add(self.headers["Authorization"])
                played.asked.append(said)
                if said["wait"] != "0":
                    played.turn.acquire()
                body = json.dumps({"result": played.answer}).encode()
                self.send_response(played.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, **answer: Any) -> None:
        """Answer the open question, and wait for the next one."""
        self.answer |= answer
        before = len(self.asked)
        self.turn.release()
        wait_until(lambda: len(self.asked) > before, 20, "the driver asks again")


@pytest.fixture
def service() -> Iterator[Played]:
    played = Played()
    yield played
    played.turn.release(100)
    played.server.shutdown()
    played.server.server_close()


def driver(url: str | None) -> Wishes:
    tune = Tune(search_space={}, metric="loss", mode="min", num_samples=4)
    tracking = Tracking("http://x/mlflow", "r", "0", "secret")
    replicas = (Replica("worker", 0, "x"),)
    return Wishes(Launch("e", "e-r2", "s", "Python", replicas, tracking=tracking, service_url=url, tune=tune), tune)


def test_it_hears_of_wishes_and_says_what_it_has_taken_up(service: Played) -> None:
    wishes = driver(service.url)
    wishes.start()
    wait_until(lambda: len(service.asked) == 1, 20, "the first question")
    assert service.asked[0] == {"submission": "e-r2", "samples": "4", "heard": "", "wait": "20"}
    service.next(numSamples=9, stopped=["a"], version="9-1")
    assert (wishes.samples, wishes.stopped) == (9, {"a"})
    assert service.asked[1] == {"submission": "e-r2", "samples": "4", "heard": "9-1", "wait": "20"}  # not yet taken up
    wishes.take_up(9)
    service.next()
    assert service.asked[2]["samples"] == "9" and service.tokens == {"Bearer secret"}


def test_its_last_question_says_what_the_service_has_not_heard(service: Played) -> None:
    wishes = driver(service.url)
    wishes.start()
    wait_until(lambda: len(service.asked) == 1, 20, "the first question")
    service.next(numSamples=9, version="9-0")
    wishes.take_up(9)
    wishes.close()
    assert service.asked[-1] == {"submission": "e-r2", "samples": "9", "heard": "9-0", "wait": "0"}
    before = len(service.asked)
    wishes.close()  # now it has heard
    assert len(service.asked) == before


def test_a_service_that_is_away_changes_nothing(
    service: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    wishes = driver(service.url)
    wishes.start()
    service.status = 503
    service.next(numSamples=9)
    service.next()
    assert wishes.samples == 4
    service.status = 200
    service.answer = {"numSamples": "nonsense"}
    service.next()
    assert wishes.samples == 4
    service.answer = {"numSamples": 6, "stopped": [], "version": "6-0"}
    service.next()
    assert wishes.samples == 6
    service.status = 503
    wishes.take_up(6)
    wishes.close()
    assert "the service did not hear how many samples were tried" in capsys.readouterr().out


def test_a_driver_that_another_has_followed_asks_no_more(service: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    service.status = 409
    service.turn.release()
    thread = threading.Thread(target=driver(service.url)._ask_on)
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and len(service.asked) == 1


def test_without_a_service_nobody_is_asked() -> None:
    wishes = driver(None)
    wishes.start()
    wishes.close()
    assert wishes.samples == 4
