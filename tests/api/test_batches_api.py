"""`POST /api/v1/run/{id}/batch`: what is taken, what is refused and how it is told."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core.errors import Unavailable
from submarine_ray.spec.spool.batches import MAX_EXPANDED_BYTES, MAX_KEYS, MAX_POINTS, Batch, Points, path
from submarine_ray.tracking import endpoints
from submarine_ray.tracking.intake import Intake


@pytest.fixture
def run(api: httpx.Client) -> str:
    """A run without an experiment: scripts have them too."""
    client = api.app.state.platform.tracking.client()  # type: ignore[attr-defined]
    return str(client.create_run("0").info.run_id)


def batch(**changes: Any) -> dict[str, Any]:
    points = {
        "keys": ["loss", "acc"],
        "key": [0, 1, 0],
        "step": [1, 1, 2],
        "timestamp": [5, 5, 6],
        "value": [0.5, 1, "NaN"],
    }
    return {"writer": "w", "sequence": 1, **points, **changes}


def history(api: httpx.Client, run: str, key: str) -> list[str]:
    client = api.app.state.platform.tracking.client()  # type: ignore[attr-defined]
    return [f"{m.step} {m.timestamp} {m.value}" for m in client.get_metric_history(run, key)]


def test_a_batch_is_stored_once(api: httpx.Client, run: str) -> None:
    for _ in range(2):
        answer = api.post(path(run), json=batch())
        assert answer.status_code == 200 and answer.json()["result"] == {"sequence": 1}, answer.text
    assert history(api, run, "loss") == ["1 5 0.5", "2 6 nan"] and history(api, run, "acc") == ["1 5 1.0"]
    assert api.get(path(run), params={"writer": "w"}).json()["result"] == {"sequence": 1}
    assert api.get(path(run), params={"writer": "other"}).json()["result"] == {"sequence": 0}
    nothing = {name: [] for name in ("keys", "key", "step", "timestamp", "value")}
    assert api.post(path(run), json=batch(sequence=3, after=1, **nothing)).json()["result"] == {"sequence": 3}
    gap = api.post(path(run), json=batch(sequence=9, after=5))
    assert gap.status_code == 409 and "send what follows 3" in gap.json()["message"]


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_a_batch_may_be_compressed(api: httpx.Client, run: str, encoding: str, compress: Any) -> None:
    points = Points.of([("loss", float("inf"), 3, 7), ("up", 1 / 3, 3, 7)])
    sent = Batch("w", 0, 100, points).written()
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    answer = api.post(path(run), content=compress(sent), headers=headers)
    assert answer.status_code == 200, answer.text
    assert history(api, run, "loss") == [f"3 7 {1.7976931348623157e308}"]  # as MLflow stores infinity


BAD: list[tuple[dict[str, Any], str]] = [
    ({"writer": ""}, "writer:"),
    ({"writer": "a/b"}, "writer:"),
    ({"writer": 3}, "writer:"),
    ({"sequence": 0}, "sequence:"),
    ({"sequence": 2**63}, "sequence:"),
    ({"sequence": True}, "sequence:"),
    ({"after": 1}, "after:"),
    ({"after": -1}, "after:"),
    ({"surprise": 1}, "surprise:"),
    ({"keys": "loss"}, "keys:"),
    ({"keys": ["loss", "a//b"]}, "keys[1]"),
    ({"keys": ["loss", ""]}, "keys[1]"),
    ({"keys": ["loss", "x" * 251]}, "keys[1]"),
    ({"keys": ["loss", "loss"]}, "keys[1]"),
    ({"keys": ["loss", None]}, "keys[1]"),
    ({"key": [0, 1, 2]}, "key[2]"),
    ({"key": [0, -1, 0]}, "key[1]"),
    ({"key": [0, 1]}, "step: it has 3 entries, and key has 2"),
    ({"step": [1, 1.5, 2]}, "step[1]: 1.5 of 'acc'"),
    ({"step": [1, 2**63, 2]}, "step[1]"),
    ({"step": [1, 2, True]}, "step[2]"),
    ({"step": [1, 2, "3"]}, "step[2]"),
    ({"timestamp": [1, 2, -1]}, "timestamp[2]: -1 of 'loss'"),
    ({"timestamp": [1, 2, 2**63]}, "timestamp[2]"),
    ({"value": [1, "high", 2]}, "value[1]: 'high' of 'acc'"),
    ({"value": [1, None, 2]}, "value[1]"),
    ({"value": [True, 1, 2]}, "value[0]"),
    ({"value": [1, [2], 2]}, "the body:"),
    ({"value": {"a": 1}}, "the body:"),
]


@pytest.mark.parametrize(("change", "told"), BAD, ids=[told for _, told in BAD])
def test_what_cannot_be_stored_is_refused_and_named(
    api: httpx.Client, run: str, change: dict[str, Any], told: str
) -> None:
    answer = api.post(path(run), json=batch(**change))
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["message"], answer.text
    assert history(api, run, "loss") == []


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'"a"', b"\xff", b'{"writer": "\\ud800"}', b"[" * 100_000, b'{"a":' * 100_000,
     b'{"sequence": 1e999}', b'{"writer": NaN}'],
    ids=range(11),
)  # fmt: skip
def test_bodies_that_are_no_batch(api: httpx.Client, run: str, body: bytes) -> None:
    answer = api.post(path(run), content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text


def test_bounds(api: httpx.Client, run: str) -> None:
    many = [0] * (MAX_POINTS + 1)
    columns = {"key": many, "step": many, "timestamp": many, "value": many}
    for change, told in (
        ({"keys": ["loss"], **columns}, "key: the batch has"),
        ({"keys": [f"k{n}" for n in range(MAX_KEYS + 1)]}, "keys: the batch has"),
    ):
        answer = api.post(path(run), json=batch(**change))
        assert answer.status_code == 413 and told in answer.json()["message"], answer.text
    bomb = zlib.compress(b" " * (100 * MAX_EXPANDED_BYTES))
    assert len(bomb) < 500_000
    headers = {"Content-Encoding": "deflate", "Content-Type": "application/json"}
    answer = api.post(path(run), content=bomb, headers=headers)
    assert answer.status_code == 413, answer.text
    whole = zlib.compress(json.dumps(batch()).encode())
    for sent, encoding in ((whole[:-5], "deflate"), (whole + b"x", "deflate"), (b"plain", "gzip"), (whole, "br")):
        answer = api.post(path(run), content=sent, headers={**headers, "Content-Encoding": encoding})
        assert answer.status_code == 400, answer.text


def test_a_flood_is_told_to_come_again(api: httpx.Client, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over the bound is not read; what is below it is stored."""
    monkeypatch.setattr(endpoints.Queue, "most", 2)
    entered, held = threading.Barrier(3), threading.Event()
    answers: list[httpx.Response] = []

    def take(*_: Any) -> int:
        entered.wait(60)
        held.wait(60)
        return 1

    monkeypatch.setattr(Intake, "take", take)
    senders = [threading.Thread(target=lambda: answers.append(api.post(path(run), json=batch()))) for _ in range(2)]
    for sender in senders:
        sender.start()
    entered.wait(60)
    refused = api.get(path(run), params={"writer": "w"})
    assert refused.status_code == 503, refused.text
    assert "send this one again in a moment" in refused.json()["message"]
    assert api.get("/health").status_code == 200
    held.set()
    for sender in senders:
        sender.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert api.get(path(run), params={"writer": "w"}).status_code == 200


def test_one_attempt_leaves_room_for_others() -> None:
    """Senders that are as slow as they may be hold their places for long."""
    queue = endpoints.Queue()
    slow, other = Principal(PrincipalKind.ATTEMPT, "slow"), Principal(PrincipalKind.ATTEMPT, "other")
    with ExitStack() as inside:
        for _ in range(queue.most // 2):
            inside.enter_context(queue.place(slow))
        with pytest.raises(Unavailable), queue.place(slow):
            pass
        for free in (other, Principal(PrincipalKind.ADMINISTRATOR, "token"), None):
            with queue.place(free):
                pass
    with queue.place(slow):
        pass


def test_runs_that_take_nothing(api: httpx.Client, run: str) -> None:
    client = api.app.state.platform.tracking.client()  # type: ignore[attr-defined]
    client.delete_run(run)
    for gone, status, told in (
        (run, 400, "must be in the 'active' state"),
        ("0" * 32, 404, f"Run with id={'0' * 32} not found"),
        ("a b", 400, "run_id"),
    ):
        answer = api.post(path(gone), json=batch())
        theirs = api.post(
            "/mlflow/api/2.0/mlflow/runs/log-batch",
            json={"run_id": gone, "metrics": [{"key": "loss", "value": 1, "step": 1, "timestamp": 1}]},
        )
        assert answer.status_code == theirs.status_code == status, (answer.text, theirs.text)
        assert told in answer.json()["message"]
        assert api.get(path(gone), params={"writer": "w"}).status_code == status
