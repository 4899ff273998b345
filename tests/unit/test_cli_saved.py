"""`submarine list|get|create|delete saved`, with the SDK's calls below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from submarine_ray.cli import main
from submarine_ray.client.http import Service

SAVED = {"id": "saved-1", "kind": "experiment-view", "name": "[b]Low", "owner": "administrator", "audience": "team",
         "updatedTime": "2026-11-28T02:00:00.000+00:00", "document": {"filter": "loss < 1"}}  # fmt: skip


def test_each_command_asks_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []

    def call(_self: Service, method: str, path: str, **body: Any) -> Any:
        asked.append((method, path, body.get("json")))
        return [SAVED] if path.endswith("view") and method == "GET" else SAVED

    monkeypatch.setattr(Service, "call", call)
    file = tmp_path / "view.yaml"
    file.write_text("filter: loss < 1\ncolumn: [metrics.loss]\n")

    def said(*words: str) -> str:
        done = CliRunner().invoke(main.app, words)
        assert done.exit_code == 0, done.output
        return done.output

    assert "[b]Low" in said("list", "saved") and "saved-1" in said("list", "saved", "-o", "json")
    assert "loss < 1" in said("get", "saved", "experiment-view", "saved-1")
    assert said("create", "saved", "experiment-view", "Low", "-f", str(file), "--team") == "saved-1\n"
    assert "deleted" in said("delete", "saved", "experiment-view", "a/b", "--wait")
    path = "/api/v1/saved/experiment-view"
    body = {"name": "Low", "document": {"filter": "loss < 1", "column": ["metrics.loss"]}, "audience": "team"}
    assert asked == [
        ("GET", path, None),
        ("GET", path, None),
        ("GET", f"{path}/saved-1", None),
        ("POST", path, body),
        ("DELETE", f"{path}/a%2Fb", None),
    ]
