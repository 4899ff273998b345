"""What /metrics says of the engines (docs/engine.md)."""

from __future__ import annotations

import re

import httpx

from tests.conftest import spec, wait_until

FEATURES = {"experiments", "notebooks", "serving"}


def gauges(api: httpx.Client, name: str) -> dict[str, float]:
    found = re.findall(rf'^submarine_reconcile_{name}\{{feature="(\w+)"\}} (\S+)$', api.get("/metrics").text, re.M)
    return {feature: float(value) for feature, value in found}


def test_each_feature_says_what_is_due_and_in_hand(api: httpx.Client) -> None:
    for name in ("due", "oldest_due_seconds", "claimed"):
        found = gauges(api, name)
        assert set(found) >= FEATURES and min(found.values()) >= 0, found


def test_steps_of_an_experiment_are_measured_by_feature_and_step(api: httpx.Client) -> None:
    before = steps(api)
    made = api.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"]
    wait_until(lambda: steps(api) > before or failures(api), 30, "a step of experiments")
    api.delete(f"/api/v1/experiment/{made}")


def steps(api: httpx.Client) -> float:
    pattern = r'^submarine_reconcile_step_seconds_count\{feature="experiments",step="\w+"\} (\S+)$'
    return sum(map(float, re.findall(pattern, api.get("/metrics").text, re.M)))


def failures(api: httpx.Client) -> list[str]:
    pattern = r'^submarine_reconcile_failures_total\{feature="experiments",reason="(?:cluster|world)"\} '
    return re.findall(pattern, api.get("/metrics").text, re.M)
