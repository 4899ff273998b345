"""Runs of a sweep whose tags and times a script has written by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nicegui.json
import pytest

from submarine_ray.spec.tags import IS_TRIAL_TAG, PARAMS_TAG, STATE_TAG, TRIAL_TAG
from submarine_ray.tracking.trials import documents


def run(id: str, start: int = 1, **tags: str) -> Any:
    info = SimpleNamespace(run_id=id, start_time=start, end_time=start + 1)
    return SimpleNamespace(info=info, data=SimpleNamespace(tags={IS_TRIAL_TAG: "true", **tags}, metrics={}))


@pytest.mark.parametrize("params", ["{", "[1]", "5", "[" * 100_000])
def test_an_odd_trial_hides_no_other(params: str) -> None:
    good = run("good", **{TRIAL_TAG: "t1", PARAMS_TAG: '{"lr": 1}'})
    found = documents([good, run("odd", 2**62, **{PARAMS_TAG: params})])
    assert [(one.trial_id, one.params) for one in found] == [("t1", {"lr": 1}), ("odd", {})]
    assert found[0].started_time and found[1].started_time is None


def test_what_no_page_can_be_told_becomes_text() -> None:
    written = '{"seed": 340282366920938463463374607431768211456, "of": "a\\ud800", "whole": 9007199254740993}'
    (found,) = documents([run("odd", **{PARAMS_TAG: written})])
    assert found.params == {"seed": str(2**128), "of": "a?", "whole": 9007199254740993}
    nicegui.json.dumps(found.params)


def test_one_that_runs_again_has_no_end() -> None:
    running, ended = documents([run("a", **{STATE_TAG: "Running"}), run("b", 2, **{STATE_TAG: "Stopped"})])
    assert (running.finished_time, running.seconds) == (None, None)
    assert ended.finished_time and ended.seconds == 0.001
