"""The runner asks before it begins, and goes on where nobody can answer."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from itertools import chain, repeat
from typing import Any

import pytest

from submarine_ray.runner import ledger
from submarine_ray.runner.errors import BegunBefore
from submarine_ray.spec.launch import BEGUN_BEFORE_STATUS, Launch, Tracking

LAUNCH = Launch("e-1", "e-1-r2", "t", "Python", (), tracking=Tracking("http://s/mlflow", "r", "1", "secret"))


class Service:
    """Answers one after the other; the last again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = chain(answers, repeat(answers[-1]))
        self.asked: list[urllib.request.Request] = []

    def __call__(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        self.asked.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, bytes):
            return io.BytesIO(answer)
        return io.BytesIO(json.dumps({"result": answer}).encode())


def refused(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("http://s", code, "no", Message(), None)


def ask(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[urllib.request.Request]:
    service = Service(*answers)
    monkeypatch.setattr(urllib.request, "urlopen", service)
    monkeypatch.setattr(ledger, "PAUSE_SECONDS", 0.0)
    ledger.begin(LAUNCH, "http://s/api/v1/experiment/e-1/begin")
    return service.asked


def test_it_asks_with_its_token_and_one_word_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    away = urllib.error.URLError("refused")
    asked = ask(monkeypatch, away, refused(503), {"mayBegin": True, "why": None})
    assert len({request.full_url for request in asked}) == 1 and "submission=e-1-r2&run=" in asked[0].full_url
    assert asked[0].get_header("Authorization") == "Bearer secret" and asked[0].get_method() == "POST"
    again = ask(monkeypatch, {"mayBegin": True, "why": None})
    assert again[0].full_url != asked[0].full_url  # another run


def test_a_refusal_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BegunBefore, match="may not begin: it has begun before") as failure:
        ask(monkeypatch, {"mayBegin": False, "why": "it has begun before"})
    assert failure.value.code == BEGUN_BEFORE_STATUS


@pytest.mark.parametrize(("answer", "times"), [(404, 1), (401, 1)])
def test_a_service_that_cannot_say_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: int, times: int
) -> None:
    assert len(ask(monkeypatch, refused(answer))) == times
    assert "was not asked whether this attempt may begin" in capsys.readouterr().out


def test_one_that_is_away_is_waited_for_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE_SECONDS", 0.05)
    assert len(ask(monkeypatch, *[urllib.error.URLError("refused")] * 3)) > 1
    assert "was not asked" in capsys.readouterr().out


@pytest.mark.parametrize("page", [b"<html>", b"[]", b'{"result": null}', b'{"result": {}}'])
def test_a_proxys_page_is_no_answer(monkeypatch: pytest.MonkeyPatch, page: bytes) -> None:
    assert len(ask(monkeypatch, page, {"mayBegin": True, "why": None})) == 2
