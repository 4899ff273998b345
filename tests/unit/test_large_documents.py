"""What a document holds much of is validated in time that grows with it, and not with its square."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.templates import TemplateSpec
from submarine_ray.templates import rendering

GROWTH = 12.0  # for four times as much: 4 is linear, 16 quadratic


def experiment(cmd: str, framework: str = "Python", **more: Any) -> Any:
    return ExperimentSpec.model_validate(
        {"meta": {"name": "a", "framework": framework, "cmd": cmd}, "spec": {"Worker": {"replicas": 1}}, **more}
    )


def sweep(n: int) -> Any:
    space = {f"p{i}": {"type": "uniform", "low": 0, "high": 1} for i in range(n)}
    tune = {"searchSpace": space, "metric": "loss", "mode": "min", "numSamples": 2}
    return experiment(" ".join(["a", *(f"{{{{p{i}}}}}" for i in range(n))]), tune=tune)


def template(cmd: str, roles: int = 1) -> TemplateSpec:
    spec = {
        "meta": {"name": "a", "framework": "Shell", "cmd": cmd},
        "spec": {f"W{i}" if i else "Worker": {"replicas": 1} for i in range(roles)},
    }
    return TemplateSpec.model_validate(
        {"name": "t", "parameters": [{"name": "x", "value": "1"}], "experimentSpec": spec}
    )


MUCH: dict[str, Callable[[int], Any]] = {
    "sweep": sweep,
    "words": lambda n: experiment("a " * n),
    "word": lambda n: experiment("a" * 100 * n),
    "lines": lambda n: experiment("a \\\n" * n + "b").command_warnings,
    "doubts": lambda n: experiment("a $x ~/b *.py " * n).command_warnings,
    "nested": lambda n: rendering.check(template("{{x}}" + "(case " * n)),
    "backslashes": lambda n: rendering.check(template("{{x}}" + "\\" * n + "{{x}}")),
    "placeholders": lambda n: rendering.check(template("{{x}} " * n)),
    "references": lambda n: rendering.check(template("$({{x}}) " * n)),
    "braces": lambda n: rendering.check(template("{{x}}" + "{" * 100 * n)),
    "roles": lambda n: rendering.check(template("{{x}}", roles=n)),
    "params": lambda n: rendering.render(template("{{x}}"), {f"spec.W{i}.replicas": "1" for i in range(n)}),
}


@pytest.mark.parametrize("kind", MUCH)
def test_four_times_as_much_takes_about_four_times_as_long(kind: str) -> None:
    def took(n: int) -> float:
        begun = time.thread_time()
        with suppress(ValueError, InvalidSpec):
            MUCH[kind](n)
        return time.thread_time() - begun

    took(10)
    before = 0.0
    for n in (250, 1000, 4000):
        now = took(n)
        if before and now > GROWTH * max(before, 0.01):
            now = min(took(n) for _ in range(3))
            assert now <= GROWTH * max(before, 0.01), f"{before:.3f} s for {n // 4}, {now:.3f} s for {n}"
        before = now


def test_what_is_suppressed_above_is_what_is_meant() -> None:
    assert sweep(20).tune
    rendering.check(template("{{x}} " * 20))
    with pytest.raises(InvalidSpec, match="no framework has more than 16"):
        rendering.check(template("{{x}}", roles=17))
