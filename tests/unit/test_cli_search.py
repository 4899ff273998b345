"""`submarine search` and `submarine list notice`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from submarine_ray.cli import search
from submarine_ray.cli.main import app

FOUND = {"kind": "model", "name": "res\x1b[31mnet", "status": None, "key": "resnet", "path": "/models/resnet"}
NOTICE = {"read": False, "time": "2026", "name": "train", "status": "Failed", "message": "worker-0 exited with 1"}


class Answers:
    """A service that answers searches and notices."""

    host = "http://service"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, object]] = []

    def call(self, method: str, path: str, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        self.asked.append((method, path, params))
        return [NOTICE if "notice" in path else FOUND]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()
    monkeypatch.setattr(search, "connect", lambda: made)
    return made


def run(*words: str) -> str:
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    return found.output


def test_words_are_one_text_and_pages_are_addresses(answers: Answers) -> None:
    said = run("search", "res", "net", "--kind", "model", "--limit", "3")
    assert "http://service/models/resnet" in said and "\x1b" not in said
    assert answers.asked == [("GET", "/api/v1/search", {"text": "res net", "kind": ["model"], "limit": 3})]
    assert json.loads(run("search", "res", "-o", "json")) == [FOUND]


def test_notices_are_listed_and_marked(answers: Answers) -> None:
    said = run("list", "notice")
    assert "new" in said and "train" in said and "worker-0 exited with 1" in said and len(answers.asked) == 1
    run("list", "notice", "--read")
    assert answers.asked[-1][:2] == ("POST", "/api/v1/notice/read")
