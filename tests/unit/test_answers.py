"""Answers: what their models write, and what the check of the API tests refuses."""

from __future__ import annotations

import json
import math

import pytest

from submarine_ray.core.envelope import Envelope, ok
from submarine_ray.core.masking import shown
from submarine_ray.spec import masks
from submarine_ray.spec.answers.base import CursorPage
from submarine_ray.spec.answers.events import Event
from submarine_ray.spec.answers.experiments import Metric, SweepAttributes, Trial
from submarine_ray.spec.experiment import SHOWN, ExperimentSpec
from tests.answers import difference
from tests.conftest import spec

EVENT = Event(time="t", last_time="t", count=1, from_status=None, to_status="Running", reason="R", message="M")


def test_an_answer_is_written_by_its_names_and_with_numbers_that_json_has() -> None:
    values = [math.nan, math.inf, -math.inf, 0.5]
    metrics = [Metric(replica="worker-0", key="loss", value=value, step=1, timestamp=2) for value in values]
    best = Trial(trial_id="a", number=1, status="Running", message=None, params={}, metrics={"loss": math.inf},
                 checkpoint=None, model_version=None, run_id="r", started_time=None, finished_time=None, seconds=None)  # fmt: skip
    answer = json.loads(ok(metrics, attributes=SweepAttributes(metric="loss", mode="min", total=3, best=best)).body)
    assert [one["value"] for one in answer["result"]] == ["NaN", "Infinity", "-Infinity", 0.5]
    assert answer["attributes"]["best"]["metrics"] == {"loss": "Infinity"}
    assert answer["attributes"]["best"]["trialId"] == "a"
    page = json.loads(ok([EVENT], attributes=CursorPage(limit=1, next_cursor=None)).body)
    assert page["attributes"] == {"limit": 1, "nextCursor": None}
    assert page["result"][0] == {"time": "t", "lastTime": "t", "count": 1, "from": None, "to": "Running",
                                 "reason": "R", "message": "M"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "problem"),
    [({}, None), ({"more": 1}, "nothing declares: .result.more"), ({"count": "1"}, "read and written again")],
)
def test_an_answer_that_is_not_as_declared_is_found(change: dict[str, object], problem: str | None) -> None:
    body = json.loads(ok(EVENT).body)
    body["result"] |= change
    found = difference(Envelope[Event], json.dumps(body).encode())
    assert found is None if problem is None else problem in (found or "")


@pytest.mark.parametrize(
    "change",
    [{"meta": {"name": "not a name!", "framework": "Cobol", "envVars": {"A_TOKEN": "secret"}}}, {"timeout": "soon"},
     {"spec": {}}, {"spec": {"Worker": {"replicas": 0}}}],
)  # fmt: skip
def test_what_an_earlier_version_accepted_is_shown_as_it_was_written(change: dict[str, object]) -> None:
    found = shown(ExperimentSpec, json.dumps(spec(**change)), SHOWN)
    document = json.loads(found.model_dump_json(by_alias=True, warnings=False))
    for key, value in change.items():
        written = masks.masked({key: value})[key]
        assert document[key] == value if not isinstance(written, dict) else _holds(document[key], written)
    assert found.meta.tags == [] and found.environment is None
    assert "secret" not in json.dumps(document)


def _holds(document: dict[str, object], part: dict[str, object]) -> bool:
    return all(
        _holds(document[key], value) if isinstance(value, dict) else document[key] == value  # type: ignore[arg-type]
        for key, value in part.items()
    )


def test_additions_stand_in_an_answer_only_where_they_are_set() -> None:
    plain = json.loads(ExperimentSpec.model_validate(spec()).model_dump_json(by_alias=True))
    assert set(plain) == {"meta", "environment", "spec", "code"} and "owner" not in plain["meta"]
    more = {"kubernetes": {"tolerations": [{"key": "a"}], "deletion": {}}, "code": {"syncMode": "s3", "url": "s3://a"},
            "timeout": 5}  # fmt: skip
    document = json.loads(ExperimentSpec.model_validate(spec(**more)).model_dump_json(by_alias=True))
    assert {key: document[key] for key in more} == more | {
        "kubernetes": {"tolerations": [{"key": "a"}], "deletion": {}}
    }
    assert document["environment"] is None and document["spec"]["Worker"]["image"] is None
