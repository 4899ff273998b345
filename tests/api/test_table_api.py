"""Tables of experiments over HTTP: filtered and sorted by what the experiments logged to the real MLflow."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from submarine_ray.core.clock import now_ms
from submarine_ray.experiments import repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.values.tables import ValueLookRow
from submarine_ray.platform import Platform
from submarine_ray.spec.spool.batches import Batch, Points
from tests.conftest import wait_until
from tests.db.test_repository import row
from tests.service import own_run

TABLE = "/api/v1/experiment/table"


@pytest.fixture
def platform(api: httpx.Client) -> Platform:
    return api.app.state.platform  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def tag() -> str:
    """Of a test's own experiments."""
    return f"t-{uuid.uuid4().hex[:8]}"


def running(platform: Platform, tag: str, name: str, params: Mapping[str, str], metrics: Mapping[str, float]) -> str:
    """An experiment that runs nowhere, and what it logged; its run."""
    id = f"experiment-{tag}-{name}"
    run = own_run(platform.tracking, id).run_id
    log(platform, run, metrics)
    for key, value in params.items():
        platform.tracking.client().log_param(run, key, value)
    made = row(id, name=name, status="Running", run_id=run, next_check_ms=None, running_ms=now_ms())
    with platform.database.session(write=True) as session:
        repository.add(session, made, [], [tag])
    return run


def log(platform: Platform, run: str, metrics: Mapping[str, float], step: int = 0) -> None:
    rows = [(key, value, step, 1_000 + step) for key, value in metrics.items()]
    platform.tracking.points.append(run, Batch("test", None, step + 1, Points.of(rows)))


def shown(api: httpx.Client, **asked: Any) -> list[tuple[str, dict[str, Any]]]:
    answer = api.get(TABLE, params=asked)
    assert answer.status_code == 200, answer.text
    return [(one["name"], one["values"]) for one in answer.json()["result"]]


def is_watched(platform: Platform, tag: str) -> bool:
    with platform.database.session() as session:
        query = select(ValueLookRow).where(ValueLookRow.experiment_id.startswith(f"experiment-{tag}"))
        return bool(session.scalars(query).all())


def test_what_runs_is_found_by_what_it_logs(api: httpx.Client, platform: Platform, tag: str) -> None:
    first = running(platform, tag, "first", {"lr": "0.1"}, {"val/loss": 0.5})
    running(platform, tag, "second", {"lr": "1e-3"}, {"val/loss": math.nan})
    mine = f"tag = {tag}"
    asked = {"filter": mine, "sort": "-val/loss", "columns": ["metrics.val/loss", "params.lr"]}
    known = [
        ("first", {"metrics.val/loss": 0.5, "params.lr": 0.1}),
        ("second", {"metrics.val/loss": "NaN", "params.lr": 0.001}),
    ]
    wait_until(lambda: shown(api, **asked) == known, 30, "what they logged is known")
    assert [name for name, _ in shown(api, filter=f"{mine} and lr < 0.01")] == ["second"]
    log(platform, first, {"val/loss": 0.25, "later": 1.0}, step=1)
    found = f"{mine} and val/loss < 0.4 and later = 1"
    wait_until(lambda: [name for name, _ in shown(api, filter=found)] == ["first"], 30, "the new value is known")
    answer = api.get("/api/v1/experiment/field", params={"contains": "VAL/lo"}).json()["result"]
    assert answer == ["metrics.val/loss"]
    page = api.get(TABLE, params={"filter": mine, "pageSize": 1, "page": 2}).json()
    assert page["attributes"] == {"total": 2, "page": 2, "pageSize": 1} and len(page["result"]) == 1
    with platform.database.session(write=True) as session:
        ended = update(ExperimentRow).where(ExperimentRow.id.startswith(f"experiment-{tag}"))
        session.execute(ended.values(status="Succeeded", archived=True))
    wait_until(lambda: not is_watched(platform, tag), 60, "those that ended are looked at once more, and no more")
    assert [name for name, _ in shown(api, filter=found)] == ["first"]


def test_csv(api: httpx.Client, platform: Platform, tag: str) -> None:
    running(platform, tag, "=HYPERLINK(1)", {}, {"loss": -1.5})
    wait_until(lambda: shown(api, filter=f"tag = {tag} and loss < 0"), 30, "its loss is known")
    answer = api.get(f"{TABLE}.csv", params={"filter": f"tag = {tag}", "columns": "metrics.loss"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, line = answer.text.splitlines()
    assert head == "id,name,status,owner,framework,cluster,tags,created,started,finished,metrics.loss"
    assert line.startswith(f"experiment-{tag}-=HYPERLINK(1),'=HYPERLINK(1),Running,,Shell,local,{tag},")
    assert line.endswith(",-1.5")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"filter": "lr <"}, "filter: the filter ends where a value for lr is expected"),
        ({"filter": "a = 1 b"}, "filter: at character 7: expected 'and', 'or' or the end, not 'b'"),
        ({"sort": "-tag"}, "sort: an experiment has many tags: it cannot be sorted by them"),
        ({"columns": "status"}, "columns: status is in each row already: choose metrics.NAME or params.NAME"),
    ],
)
def test_what_is_wrong_is_said(api: httpx.Client, asked: dict[str, str], said: str) -> None:
    for path in (TABLE, f"{TABLE}.csv"):
        answer = api.get(path, params=asked)
        assert (answer.status_code, answer.json()["message"]) == (400, said)
