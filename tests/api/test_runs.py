"""MLflow's runs: an experiment's own is made once, whatever becomes of what is around it; and MLflow's errors are ours."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from submarine_ray.experiments import repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.platform import Platform
from submarine_ray.spec.tags import EXPERIMENT_TAG
from submarine_ray.tracking import paged
from submarine_ray.tracking.runs import OwnRuns
from submarine_ray.tracking.service import TrackingService
from tests.conftest import spec
from tests.service import own_run

URL = "/api/v1/experiment"


@pytest.fixture
def platform(api: httpx.Client) -> Platform:
    return api.app.state.platform  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def tracking(platform: Platform) -> TrackingService:
    return platform.tracking


@pytest.fixture
def name(tracking: TrackingService) -> Iterator[str]:
    """Of an MLflow experiment of the test's own."""
    made = f"own-{uuid.uuid4().hex[:8]}"
    yield made
    if found := tracking.client().get_experiment_by_name(made):
        tracking.client().delete_experiment(found.experiment_id)


def stored(tracking: TrackingService, run_id: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What stands in MLflow's tables of a run."""
    assert tracking.database
    with tracking.database.session() as session:
        row = session.execute(text("SELECT * FROM runs WHERE run_uuid = :run"), {"run": run_id}).one()
        tags = session.execute(text("SELECT key, value FROM tags WHERE run_uuid = :run"), {"run": run_id})
        return dict(row._mapping), {key: value for key, value in tags}  # noqa: C416 (rows are no pairs)


def test_it_is_what_mlflow_would_have_made(tracking: TrackingService, name: str) -> None:
    own = own_run(tracking, "experiment-run-1", name)
    row, tags = stored(tracking, own.run_id)
    theirs = tracking.client().create_run(
        own.mlflow_experiment_id, run_name="experiment-run-1",
        tags={one: value for one, value in tags.items() if one != "mlflow.runName"},
    )  # fmt: skip
    expected, their_tags = stored(tracking, theirs.info.run_id)
    assert tags == their_tags
    for one in (row, expected):
        one["artifact_uri"] = one["artifact_uri"].replace(one.pop("run_uuid"), "RUN")
        one.pop("start_time")
    assert row == expected


def test_two_services_that_take_an_experiment_from_one_another_make_one_run(
    api: httpx.Client, platform: Platform, name: str
) -> None:
    """The first one is stopped between its MLflow call and its note; the second has the row when it goes on."""
    meta = {"name": name, "framework": "Python", "cmd": "python t.py"}
    id = api.post(URL, json=spec(meta=meta)).json()["result"]["experimentId"]

    def taken(service: str) -> ExperimentRow:
        with platform.database.session(write=True) as session:
            row = session.get(ExperimentRow, id)
            row.lock_token, row.lock_expires_ms = f"{service}:{uuid.uuid4().hex}", 2**50
        return row

    def opened(row: ExperimentRow) -> str:
        return platform.tracking.open_run(row.run_id or row.new_run_id, name, id, "worker-0", {}).run_id

    def noted(row: ExperimentRow, run: str) -> bool:
        with platform.database.session(write=True) as session:
            return repository.note_run(session, row, run, "1", [])

    first = taken("a")
    by_first = opened(first)
    second = taken("b")
    assert not noted(first, by_first), "the row is another's"
    by_second = opened(second)
    assert noted(second, by_second) and by_first == by_second
    assert opened(first) == by_first  # and once more, however late
    client = platform.tracking.client()
    mlflow = client.get_experiment_by_name(name).experiment_id
    assert len(client.search_runs([mlflow], f"tags.`{EXPERIMENT_TAG}` = '{id}'")) == 1


def test_services_that_make_it_at_the_same_moment_make_one(tracking: TrackingService, name: str) -> None:
    run, services = uuid.uuid4().hex, [OwnRuns(tracking.client(), tracking.database) for _ in range(6)]  # type: ignore[arg-type]
    found: list[Any] = []
    from submarine_ray.tracking.runs import NewRun

    def make(one: OwnRuns) -> None:
        try:
            found.append(one.open(NewRun(run, name, "experiment-run-2", {EXPERIMENT_TAG: "experiment-run-2"})))
        except Exception as failure:
            found.append(failure)

    threads = [threading.Thread(target=make, args=(one,)) for one in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.mlflow_experiment_id for one in found}) == 1 and {one.run_id for one in found} == {run}, found
    assert list(tracking.runs(run)) == [run]


def test_an_mlflow_experiment_that_was_deleted_by_hand_is_restored_and_told(
    tracking: TrackingService, name: str
) -> None:
    client = tracking.client()
    earlier = own_run(tracking, "experiment-run-3", name)
    assert earlier.told is None
    client.delete_experiment(earlier.mlflow_experiment_id)
    made = own_run(tracking, "experiment-run-4", name)
    assert made.mlflow_experiment_id == earlier.mlflow_experiment_id
    assert made.told and f"The MLflow experiment {name!r} had been deleted" in made.told
    assert own_run(tracking, "experiment-run-5", name).told is None, "once"
    client.log_metric(made.run_id, "loss", 0.5)
    assert client.get_run(earlier.run_id).info.lifecycle_stage == "deleted", "what the user deleted stays deleted"


def test_a_run_that_was_deleted_by_hand_takes_the_next_attempts_records(tracking: TrackingService, name: str) -> None:
    client, made = tracking.client(), own_run(tracking, "experiment-run-6", name)
    client.delete_run(made.run_id)
    again = tracking.open_run(made.run_id, name, "experiment-run-6", "worker-0", {})
    assert again.run_id == made.run_id and again.told and "it was restored" in again.told
    client.log_metric(made.run_id, "loss", 0.5)


def test_an_mlflow_experiment_that_was_removed_for_good_is_made_anew(tracking: TrackingService, name: str) -> None:
    own = own_run(tracking, "experiment-run-7", name)
    assert tracking.database
    with tracking.database.session(write=True) as session:  # as `mlflow gc` does
        session.execute(text("DELETE FROM tags WHERE run_uuid = :run"), {"run": own.run_id})
        session.execute(text("DELETE FROM runs WHERE run_uuid = :run"), {"run": own.run_id})
        session.execute(text("DELETE FROM experiments WHERE name = :name"), {"name": name})
    made = own_run(tracking, "experiment-run-8", name)
    assert tracking.client().get_experiment_by_name(name).experiment_id == made.mlflow_experiment_id
    assert list(tracking.runs(made.run_id)) == [made.run_id]


def test_runs_of_all_replicas_are_read_and_ended_however_many(
    tracking: TrackingService, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged, "PAGE", 2)
    client, own = tracking.client(), own_run(tracking, "experiment-run-9", name)
    runs = [own.run_id] + [tracking.replica_run(own.run_id, "experiment-run-9", f"worker-{i}") for i in range(1, 6)]
    for run in runs:
        client.log_metric(run, "loss", 0.5)
    assert {point.replica for point in tracking.metrics(own.run_id)} == {f"worker-{i}" for i in range(6)}
    tracking.finish(own.run_id, succeeded=True)
    assert {client.get_run(run).info.status for run in runs} == {"FINISHED"}
    tracking.delete(own.run_id)
    assert {client.get_run(run).info.lifecycle_stage for run in runs} == {"deleted"}


@pytest.mark.parametrize("path", ["metrics", "params", "artifact?path=x"])
def test_what_mlflow_cannot_say_is_no_error_of_the_service(
    api: httpx.Client, platform: Platform, name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    id = api.post(URL, json=spec()).json()["result"]["experimentId"]
    with platform.database.session(write=True) as session:
        session.get(ExperimentRow, id).run_id = "0" * 32
    answer = api.get(f"{URL}/{id}/{path}")
    assert answer.status_code == 404 and "not found" in answer.json()["message"], answer.text

    def away(*_: Any) -> Any:
        raise MlflowException("(sqlite3.OperationalError) database is locked", TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(platform.tracking.client()._client, "get_run", away)
    answer = api.get(f"{URL}/{id}/{path}")
    assert answer.status_code == 503 and "Retry-After" in answer.headers, answer.text
