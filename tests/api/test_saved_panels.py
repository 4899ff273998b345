"""Workspaces and reports over REST and the SDK: what they may hold, and how a report is made."""

from __future__ import annotations

import httpx
import pytest

from submarine_ray.spec.panels import LinePanel, Workspace


def test_a_workspace_is_kept_as_it_was_written(api: httpx.Client) -> None:
    said = Workspace(filter="tag = a", group="params.lr", hidden=["lr=1"], panels=[LinePanel(metrics=["loss"])])
    body = {"name": "board", "document": said.model_dump(mode="json", by_alias=True)}
    made = api.post("/api/v1/saved/workspace", json=body).json()["result"]
    assert Workspace.model_validate(made["document"]) == said
    report = {"name": "report", "document": {"text": "# Title"}}
    assert api.post("/api/v1/saved/report", json=report).json()["result"]["document"] == {"text": "# Title"}


@pytest.mark.parametrize(
    ("kind", "document", "said"),
    [
        ("workspace", {"filter": "lr <"}, "filter: the filter ends where"),
        ("workspace", {"panels": [{"kind": "pie"}]}, "panels.0"),
        ("workspace", {"panels": [{"kind": "line", "metrics": []}]}, "metrics"),
        ("workspace", {"most": 101}, "most"),
        ("report", {"text": "x" * 50_001}, "text"),
        ("report", {"markdown": "x"}, "markdown: is not a known field"),
    ],
)
def test_what_is_wrong_with_them_is_said(api: httpx.Client, kind: str, document: dict[str, object], said: str) -> None:
    answer = api.post(f"/api/v1/saved/{kind}", json={"name": "wrong", "document": document})
    assert answer.status_code == 400 and said in answer.json()["message"], answer.text
