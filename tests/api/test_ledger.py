"""An attempt is begun by one run, however often its cluster starts it."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.spec.examples import EXAMPLES
from submarine_ray.spec.launch import Launch, Replica
from tests.conftest import spec


def begin(api: httpx.Client, id: str, submission: str, run: str) -> str | None:
    answer = api.post(f"/api/v1/experiment/{id}/begin", params={"submission": submission, "run": run})
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert result["mayBegin"] is (result["why"] is None)
    return None if result["why"] is None else str(result["why"])


@pytest.fixture
def id(api: httpx.Client) -> str:
    return str(api.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"])


def test_the_first_run_may_begin_and_ask_again_and_no_other_may(api: httpx.Client, id: str) -> None:
    assert begin(api, id, id, "a") is None
    assert begin(api, id, id, "a") is None  # its first question may have lost its answer
    assert "it has begun before" in str(begin(api, id, id, "b"))


def test_who_is_no_longer_wanted_may_not_begin(api: httpx.Client, id: str) -> None:
    changed = spec(meta={"name": "test", "framework": "PyTorch", "cmd": "python other.py"})
    assert api.patch(f"/api/v1/experiment/{id}", json=changed).status_code == 200
    assert "another attempt" in str(begin(api, id, id, "a"))
    assert begin(api, id, f"{id}-r2", "b") is None  # the one that has followed it
    api.post(f"/api/v1/experiment/{id}/stop")
    assert "was stopped" in str(begin(api, id, f"{id}-r2", "c"))
    api.delete(f"/api/v1/experiment/{id}")
    assert "was deleted" in str(begin(api, id, f"{id}-r2", "c"))
    assert "was deleted" in str(begin(api, "experiment-1-0001", "experiment-1-0001", "c"))


def test_of_many_at_once_one_may(api: httpx.Client, id: str) -> None:
    ledger = api.app.state.platform.experiments.ledger  # type: ignore[attr-defined]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(ledger.refusal(id, id, f"run-{n}"))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 8 and answers.count(None) == 1


def test_a_ticket_fetches_its_launch_once_and_opens_nothing_else(api: httpx.Client, id: str) -> None:
    platform = api.app.state.platform  # type: ignore[attr-defined]
    launch = Launch(id, id, "n", "Python", (Replica("worker", 0, "x", env={"KEY": "planted"}),), service_url="http://s")
    ticket = {"Authorization": f"Bearer {platform.clusters.launches.keep(launch)}"}
    attempt = {"Authorization": f"Bearer {platform.tokens.issue(PrincipalKind.ATTEMPT, id)}"}

    def ask(headers: dict[str, str], run: str, submission: str = id, at: str = id) -> httpx.Response:
        params = {"submission": submission, "run": run}
        return api.post(f"/api/v1/experiment/{at}/begin", params=params, headers=headers)

    for path in (f"/api/v1/experiment/{id}", "/api/v1/experiment", "/mlflow/api/2.0/mlflow/experiments/get"):
        assert api.get(path, headers=ticket).status_code == 403, path
    other = str(api.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"])
    assert ask(ticket, "a", submission=other, at=other).status_code == 403
    assert ask(ticket, "a", at=other).json()["result"]["launch"] is None
    first = ask(ticket, "a")
    assert Launch.loads(json.dumps(first.json()["result"]["launch"])) == launch
    assert ask(ticket, "a").json() == first.json()  # its answer may have been lost
    later = ask(ticket, "b").json()["result"]
    assert (later["mayBegin"], later["launch"]) == (False, None) and "somebody else has read its ticket" in later["why"]
    assert ask(attempt, "c").json()["result"]["launch"] is None and ask({}, "c").json()["result"]["launch"] is None
    api.post(f"/api/v1/experiment/{id}/stop")
    assert "was stopped" in ask(ticket, "a").json()["result"]["why"]


def test_a_notebooks_job_fetches_its_launch_in_the_same_way(api: httpx.Client) -> None:
    platform = api.app.state.platform  # type: ignore[attr-defined]
    made = {**EXAMPLES["NotebookSpec"], "meta": {"name": "ticketed", "namespace": "ledger"}}
    id = api.post("/api/v1/notebook", json=made).json()["result"]["notebookId"]
    launch = Launch(id, id, "n", "Notebook", (Replica("notebook", 0, ""),), service_url="http://s")
    ticket = {"Authorization": f"Bearer {platform.clusters.launches.keep(launch)}"}

    def ask(headers: dict[str, str], run: str) -> dict[str, Any]:
        params = {"submission": id, "run": run}
        return dict(api.post(f"/api/v1/notebook/{id}/begin", params=params, headers=headers).json()["result"])

    assert "with its job's ticket" in ask({}, "a")["why"]
    assert ask(ticket, "a")["launch"]["submission_id"] == id
    assert "fetched before" in ask(ticket, "b")["why"]
    api.delete(f"/api/v1/notebook/{id}")
    assert "stopped or deleted" in ask(ticket, "a")["why"]
