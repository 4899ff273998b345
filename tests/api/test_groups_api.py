"""Groups of experiments, changes of many at once, files with chosen columns, and sweeps' values, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from submarine_ray.experiments import repository
from submarine_ray.platform import Platform
from submarine_ray.spec.tags import IS_TRIAL_TAG, PARENT_TAG, STATE_TAG, SWEEP_NAME_TAG
from tests.api.test_table_api import TABLE, log, platform, running, shown, tag
from tests.conftest import wait_until
from tests.db.test_repository import row
from tests.service import own_run

__all__ = ["platform", "tag"]
GROUPS = "/api/v1/experiment/groups"


def grouped(api: httpx.Client, **asked: Any) -> list[tuple[Any, int, dict[str, Any]]]:
    answer = api.get(GROUPS, params=asked)
    assert answer.status_code == 200, answer.text
    return [(one["value"], one["count"], one["values"]) for one in answer.json()["result"]]


def test_groups_and_their_experiments(api: httpx.Client, platform: Platform, tag: str) -> None:
    for name, lr, loss in (("a", "0.1", 1.0), ("b", "1e-1", 3.0), ("c", "auto", 5.0), ("d", "0.2", 7.0)):
        running(platform, tag, name, {"lr": lr}, {"loss": loss})
    mine = f"tag = {tag}"
    wait_until(lambda: len(shown(api, filter=f"{mine} and loss > 0 and lr ~ ''")) == 4, 30, "all is known")
    found = grouped(api, by="params.lr", filter=mine, sort="-metrics.loss", columns=["metrics.loss"])
    assert [(value, count) for value, count, _ in found] == [(0.2, 1), ("auto", 1), (0.1, 2)]
    assert found[2][2] == {"metrics.loss": {"count": 2, "mean": 2.0, "minimum": 1.0, "maximum": 3.0}}
    page = api.get(GROUPS, params={"by": "lr", "filter": mine, "pageSize": 1, "page": 2}).json()
    assert page["attributes"] == {"total": 3, "page": 2, "pageSize": 1} and len(page["result"]) == 1
    behind = api.get(GROUPS, params={"by": "lr", "filter": mine, "page": 9}).json()
    assert behind["result"] == [] and behind["attributes"]["total"] == 3
    for one in api.get(GROUPS, params={"by": "lr", "filter": mine}).json()["result"]:
        assert len(shown(api, filter=f"{mine} and {one['filter']}")) == one["count"], one
    assert grouped(api, by="tag", filter=mine) == [(tag, 4, {})]
    for by, said in (("metrics.loss", "by: experiments are grouped by status, tag"), ("created", "by: "), ("", "by: ")):
        answer = api.get(GROUPS, params={"by": by})
        assert answer.status_code == 400 and said in answer.json()["message"]


def test_many_are_changed_at_once(api: httpx.Client, platform: Platform, tag: str) -> None:
    for name in ("a", "b", "c"):
        with platform.database.session(write=True) as session:
            status = "Succeeded" if name == "c" else "Accepted"
            meta = {"name": name, "framework": "Shell", "cmd": "true", "tags": [tag]}
            said = json.dumps({"meta": meta, "spec": {"Worker": {}}})
            made = row(f"experiment-{tag}-{name}", name=name, status=status, next_check_ms=None, spec=said)
            repository.add(session, made, [], [tag])
    mine = f"tag = {tag}"

    def change(**body: Any) -> Any:
        return api.patch("/api/v1/experiment", json=body).json()["result"]

    whole = {"changed": 3, "skipped": 0, "failures": [], "failed": 0}
    assert change(action="tag", tag="bulk", filter=mine) == whole
    assert len(shown(api, filter=f"{mine} and tag = bulk")) == 3
    assert change(action="untag", tag="bulk", ids=[f"experiment-{tag}-a", f"experiment-{tag}-a"])["changed"] == 1
    assert [name for name, _ in shown(api, filter=f"{mine} and not tag = bulk")] == ["a"]
    assert change(action="stop", filter=mine) == {"changed": 2, "skipped": 1, "failures": [], "failed": 0}
    gone = change(action="delete", ids=[f"experiment-{tag}-a", "nope"])
    assert (gone["changed"], gone["failed"]) == (1, 1) and gone["failures"][0]["experimentId"] == "nope"
    assert change(action="delete", filter=mine)["changed"] == 2 and shown(api, filter=mine) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "stop"}, "give either ids or a filter"),
        ({"action": "stop", "ids": [], "filter": "age > 0s"}, "give either ids or a filter"),
        ({"action": "delete", "filter": " "}, "an empty filter would change every experiment"),
        ({"action": "tag", "ids": ["x"]}, "give a tag with the actions tag and untag"),
        ({"action": "stop", "ids": ["x"], "tag": "x"}, "and with no other"),
        ({"action": "tag", "tag": "", "ids": ["x"]}, "tag: "),
        ({"action": "stop", "filter": "lr <"}, "filter: the filter ends"),
        ({"action": "burn", "ids": ["x"]}, "action: "),
    ],
)
def test_a_change_of_many_is_refused_as_a_whole(api: httpx.Client, body: dict[str, Any], said: str) -> None:
    answer = api.patch("/api/v1/experiment", json=body)
    assert answer.status_code == 400 and said in answer.json()["message"], answer.text


def test_a_file_has_the_columns_that_are_asked_for(api: httpx.Client, platform: Platform, tag: str) -> None:
    running(platform, tag, "one", {"lr": "0.5"}, {"loss": 2.0})
    wait_until(lambda: shown(api, filter=f"tag = {tag} and loss > 0 and lr > 0"), 30, "what it logged is known")
    asked = {"filter": f"tag = {tag}", "shown": ["name", "metrics.loss", "status", "params.lr", "duration"]}
    answer = api.get(f"{TABLE}.csv", params=asked)
    assert answer.text.splitlines() == ["name,metrics.loss,status,params.lr,duration", "one,2.0,Running,0.5,"]
    twice = api.get(f"{TABLE}.csv", params={"shown": ["name", "name"]})
    assert twice.status_code == 400 and "shown: names a column twice" in twice.json()["message"]


def test_a_sweep_shows_what_its_best_trial_logged(api: httpx.Client, platform: Platform, tag: str) -> None:
    id = f"experiment-{tag}-sweep"
    made = own_run(platform.tracking, id)
    client = platform.tracking.client()

    def trial(sweep: str, lr: str, score: float, state: str = "Succeeded") -> None:
        tags = {PARENT_TAG: made.run_id, IS_TRIAL_TAG: "1", STATE_TAG: state, SWEEP_NAME_TAG: sweep}
        run = client.create_run(made.mlflow_experiment_id, tags=tags).info.run_id
        log(platform, run, {"score": score, "loss": -score})
        client.log_param(run, "lr", lr)

    trial("second", "0.1", 1.0)
    trial("second", "0.2", 3.0)
    trial("second", "0.3", 9.0, "Failed")
    trial("second", "0.4", float("nan"))
    tuned = {"searchSpace": {}, "metric": "score", "mode": "max", "numSamples": 4}
    said = {"meta": {"name": "sweep", "framework": "Shell", "cmd": "true"}, "spec": {"Worker": {}}, "tune": tuned}
    sweep = row(id, name="sweep", status="Running", run_id=made.run_id, next_check_ms=None, spec=json.dumps(said))
    with platform.database.session(write=True) as session:
        repository.add(session, sweep, [], [tag])
    asked = {"filter": f"tag = {tag}", "columns": ["metrics.score", "metrics.loss", "params.lr"]}
    best = {"metrics.score": 3.0, "metrics.loss": -3.0, "params.lr": 0.2}
    wait_until(lambda: shown(api, **asked) == [("sweep", best)], 30, "the best trial's values are the sweep's")
    trial("second", "0.5", 4.0)
    wait_until(lambda: shown(api, filter=f"tag = {tag} and lr = 0.5 and score = 4"), 30, "a better trial is seen")
    trial("third", "0.6", 2.0)
    wait_until(lambda: shown(api, filter=f"tag = {tag} and lr = 0.6 and score = 2"), 30, "a new sweep is another")
