"""Runs, metrics and artifacts as the API tells them; and MLflow's server as it is mounted here."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from submarine_ray.experiments.tables import ExperimentRow
from tests.conftest import spec

URL = "/api/v1/experiment"
BATCH = "/mlflow/api/2.0/mlflow/runs/log-batch"


@pytest.fixture
def run(api: httpx.Client) -> tuple[str, str]:
    """An experiment that has a run; its id and the run's."""
    return make_run(api)


def make_run(api: httpx.Client, **changes: Any) -> tuple[str, str]:
    id = api.post(URL, json=spec(**changes)).json()["result"]["experimentId"]
    platform = api.app.state.platform  # type: ignore[attr-defined]
    made = platform.tracking.create_run("test", id, "worker-0", {}, False)
    with platform.database.session(write=True) as session:
        session.get(ExperimentRow, id).run_id = made.run_id
    return id, made.run_id


def metric(**changes: Any) -> dict[str, Any]:
    return {"key": "loss", "value": 0.5, "step": 1, "timestamp": 1, **changes}


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("metrics", metric(key="bad", step=2**63)),
        ("metrics", metric(key="bad", value="high")),
        ("metrics", metric(key="bad", timestamp=1.5)),
        ("params", {"key": "bad", "value": "caf\udce9"}),
        ("params", {"key": "bad", "value": 3}),
        ("tags", {"key": "bad", "value": "caf\udce9"}),
    ],
)
def test_a_batch_with_a_record_that_cannot_be_stored_is_refused_and_says_which(
    api: httpx.Client, run: tuple[str, str], kind: str, bad: dict[str, Any]
) -> None:
    good = metric() if kind == "metrics" else {"key": "good", "value": "1"}
    body = json.dumps({"run_id": run[1], kind: [good, bad, {**good, "key": "after"}]})
    answer = api.post(BATCH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    said = answer.json()["message"]
    assert "cannot be stored as it is" in said and f"{kind}[1]" in said, said
    assert api.post(BATCH, json={"run_id": run[1], kind: [good, {**good, "key": "after"}]}).status_code == 200
