"""Stopping a trial and extending a sweep over HTTP, with a driver that a test plays. No cluster."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from submarine_ray.client.errors import ApiError
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.json_types import JsonObject
from tests.conftest import spec

URL = "/api/v1/experiment"
SPACE = {"lr": {"type": "uniform", "low": 0, "high": 1}}


@pytest.fixture
def client(api: httpx.Client) -> ExperimentClient:
    """The SDK, on the app in this process."""
    made = ExperimentClient("http://127.0.0.1:32080")
    made.service._http = api
    return made


def sweep(api: httpx.Client, **tune: Any) -> str:
    """A sweep that waits; `changed` gives it another state."""
    said = {"searchSpace": SPACE, "metric": "loss", "mode": "min", "numSamples": 4} | tune
    document = spec(meta={"name": "sweep", "framework": "Python", "cmd": "python t.py {{lr}}"}, tune=said)
    return str(api.post(URL, json=document).json()["result"]["experimentId"])


def changed(api: httpx.Client, id: str, **values: Any) -> None:
    with api.app.state.platform.database.session(write=True) as session:  # type: ignore[attr-defined]
        row = session.get_one(ExperimentRow, id)
        for name, value in values.items():
            setattr(row, name, value)


def row(api: httpx.Client, id: str) -> ExperimentRow:
    with api.app.state.platform.database.session() as session:  # type: ignore[attr-defined]
        return session.get_one(ExperimentRow, id)  # type: ignore[no-any-return]


def trial(api: httpx.Client, id: str, trial_id: str, state: str = "Running") -> None:
    """A trial of a sweep that has a run."""
    tracking = api.app.state.platform.tracking  # type: ignore[attr-defined]
    if (run := row(api, id).run_id) is None:
        run = tracking.open_run(row(api, id).new_run_id, "sweep", id, "worker-0", {}).run_id
        changed(api, id, run_id=run, status="Running")
    tags = {"submarine.sweep_id": id, "submarine.is_trial": "1", "submarine.trial_id": trial_id,
            "submarine.sweep_name": "s", "submarine.trial_params": "{}", "submarine.trial_state": state,
            "mlflow.parentRunId": run}  # fmt: skip
    tracking.client().create_run(tracking.client().get_run(run).info.experiment_id, tags=tags)


def wishes(api: httpx.Client, id: str, samples: int, version: str = "", wait: float = 0, submission: str = "") -> Any:
    said: dict[str, Any] = {"submission": submission or id, "samples": samples, "heard": version, "wait": wait}
    answer = api.post(f"{URL}/{id}/wishes", params=said)
    return answer.json()["result"] if answer.status_code == 200 else answer.json()["message"]


def reasons(api: httpx.Client, id: str) -> list[str]:
    return [event["reason"] for event in api.get(f"{URL}/{id}/events").json()["result"]]


def test_a_trial_is_stopped_and_the_driver_hears_of_it(api: httpx.Client, client: ExperimentClient) -> None:
    id = sweep(api)
    trial(api, id, "a")
    trial(api, id, "b", "Succeeded")
    known = wishes(api, id, 4)
    assert known == {"numSamples": 4, "stopped": [], "version": "4-0"}
    found: list[JsonObject] = []
    waiting = threading.Thread(target=lambda: found.append(wishes(api, id, 4, known["version"], wait=30)))
    waiting.start()
    begun = time.monotonic()
    assert client.stop_trial(id, "a")["trialId"] == "a"
    waiting.join(30)
    assert found[0]["stopped"] == ["a"] and time.monotonic() - begun < 25  # it was not left to the end of its wait
    client.stop_trial(id, "a")  # once more is no error
    assert reasons(api, id).count("TrialStopAsked") == 1
    with pytest.raises(ApiError, match=r"Trial b of .* has ended already \(Succeeded\)"):
        client.stop_trial(id, "b")
    with pytest.raises(ApiError, match="has no trial 'c'"):
        client.stop_trial(id, "c")
    changed(api, id, status="Succeeded")
    with pytest.raises(ApiError, match="has ended already"):
        client.stop_trial(id, "a")


def test_nothing_is_kept_of_a_sweep_that_is_deleted_while_its_trial_is_stopped(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = sweep(api)
    trial(api, id, "a")
    sweeps = api.app.state.platform.experiments.sweeps  # type: ignore[attr-defined]
    read = sweeps._results.trials

    def trials(experiment_id: str) -> Any:
        found = read(experiment_id)
        assert api.delete(f"{URL}/{id}").status_code == 200
        return found

    monkeypatch.setattr(sweeps._results, "trials", trials)
    assert api.post(f"{URL}/{id}/trials/a/stop").status_code == 404
    assert sweeps.stopping(id) == frozenset()


def test_a_sweep_that_runs_is_extended_in_place(api: httpx.Client, client: ExperimentClient) -> None:
    id = sweep(api)
    trial(api, id, "a")
    assert client.extend_sweep(id, 3)["spec"]["tune"]["numSamples"] == 7
    assert client.sweep(id)["total"] == 7 and row(api, id).attempt == 1
    assert wishes(api, id, 4)["numSamples"] == 7 and row(api, id).unheard_samples == 7
    wishes(api, id, 7)  # its driver makes them now
    assert row(api, id).unheard_samples is None
    assert reasons(api, id)[-1] == "Extended"


def test_a_sweep_that_waits_gets_room_for_what_was_added(api: httpx.Client, client: ExperimentClient) -> None:
    id = sweep(api, numSamples=1)
    assert row(api, id).units == 1
    client.extend_sweep(id, 3)
    assert row(api, id).units == 4 and row(api, id).attempt == 1


def test_a_sweep_that_has_ended_goes_on_in_its_run(api: httpx.Client, client: ExperimentClient) -> None:
    id = sweep(api)
    trial(api, id, "a", "Succeeded")
    changed(api, id, status="Succeeded", reason="Succeeded", message="Well.", next_check_ms=None)
    before = row(api, id)
    found = client.extend_sweep(id, 2)
    assert (found["status"], found["attempt"], found["runId"]) == ("Accepted", 2, before.run_id)
    now = row(api, id)
    assert now.unheard_samples == 6 and now.generation == before.generation + 1 and now.next_check_ms
    assert [trial["trialId"] for trial in client.trials(id)] == ["a"]
    (first, _) = client.attempts(id)
    assert first["status"] == "Succeeded" and first["spec"]["tune"]["numSamples"] == 4
    assert "is not the current attempt" in wishes(api, id, 4)  # the driver before
    assert wishes(api, id, 6, submission=f"{id}-r2")["numSamples"] == 6 and row(api, id).unheard_samples is None
    spec = client.get_experiment(id)["spec"]
    client.patch_experiment(id, spec, rerun=True)
    assert row(api, id).run_id is None  # a rerun begins anew


@pytest.mark.parametrize("samples", [0, -1, 10_001, "x", None, 1.5])
def test_a_number_of_samples_that_is_none(api: httpx.Client, samples: Any) -> None:
    id = sweep(api)
    answer = api.post(f"{URL}/{id}/extend", json={"samples": samples})
    assert answer.status_code == 400 and "samples" in answer.json()["message"], answer.text


def test_what_cannot_be_extended_says_why(api: httpx.Client, client: ExperimentClient) -> None:
    with pytest.raises(ApiError, match="9996 can be added"):
        client.extend_sweep(sweep(api), 9_997)
    grid = sweep(api, searchSpace={"lr": {"type": "grid", "values": [1, 2]}}, algorithm="grid", numSamples=1)
    with pytest.raises(ApiError, match="is a grid search over 2 combinations, and has no more samples"):
        client.extend_sweep(grid, 1)
    plain = api.post(URL, json=spec()).json()["result"]["experimentId"]
    for call in (lambda: client.extend_sweep(plain, 1), lambda: client.stop_trial(plain, "a")):
        with pytest.raises(ApiError, match="is not a sweep: its spec has no tune"):
            call()
    with pytest.raises(ApiError, match="Not found experiment"):
        client.extend_sweep("experiment-1-0001", 1)


def test_a_sweep_on_a_cluster_that_is_gone_cannot_go_on(api: httpx.Client, client: ExperimentClient) -> None:
    id = sweep(api)
    changed(api, id, status="Succeeded", cluster="gone")
    with pytest.raises(ApiError, match="gone"):
        client.extend_sweep(id, 1)
    assert row(api, id).attempt == 1
