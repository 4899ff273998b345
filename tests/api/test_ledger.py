"""An attempt is begun by one run, however often its cluster starts it."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from submarine_ray.experiments.ledger import Ledger
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
    ledger = Ledger(api.app.state.platform.database)  # type: ignore[attr-defined]
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(ledger.refusal(id, id, f"run-{n}"))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 8 and answers.count(None) == 1
