"""The page of comparisons, without a browser: what is drawn at first, what is marked, and what its address says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from submarine_ray.spec.answers.provenance import GitState, Provenance
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.workbench import addresses, compare_curves, compare_rows
from submarine_ray.workbench.compared import Compared

SPEC: JsonObject = {
    "meta": {"name": "a", "framework": "Python", "cmd": "python train.py"},
    "spec": {"Worker": {"replicas": 2, "resources": "cpu=1"}},
}


def compared(latest: Mapping[str, float] | None = None, **more: object) -> Compared:
    spec = ExperimentSpec.model_validate(SPEC | more)
    return Compared("experiment-1", "a", spec, "run", "Succeeded", {}, latest or {})


def test_what_most_have_is_drawn_first_and_the_machine_last() -> None:
    metrics = {f"m{n}": 1.0 for n in range(6)} | {"loss": 1.0, "system/cpu": 1.0}
    found = [compared(metrics | {"a-only-here": 1.0}), compared(metrics | {"zz": 1.0})]
    assert compare_curves.first(found) == sorted(metrics)
    assert "system/cpu" not in compare_curves.first([*found, compared({"a-only-here": 1.0})])


def test_metrics_are_grouped_by_their_prefix() -> None:
    groups = compare_curves.grouped(["val/loss", "loss", "train/loss", "val/a/b", "/odd"])
    assert groups == {"": ["/odd", "loss"], "train": ["train/loss"], "val": ["val/a/b", "val/loss"]}


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("loss", "min"), ("val/accuracy", "max"), ("validation_logloss", "min"), ("mean_absolute_error", "min"),
        ("accuracy_loss", "min"), ("val/loss/mean", "min"), ("epoch", None), ("rows_per_second", None), ("", None),
    ],
)  # fmt: skip
def test_the_name_of_a_metric_says_what_is_better(metric: str, mode: str | None) -> None:
    assert compare_rows.mode_of(metric, []) == mode


def test_a_sweep_says_what_is_better_itself() -> None:
    tune = {"searchSpace": {"lr": {"type": "grid", "values": [1, 2]}}, "metric": "score", "mode": "min"}
    meta = {"name": "a", "framework": "Python", "cmd": "python train.py {{lr}}"}
    assert compare_rows.mode_of("score", [compared(meta=meta, tune=tune)]) == "min"


def test_the_best_of_a_metric_is_marked_where_there_is_one() -> None:
    found = [
        compared({"loss": 0.5, "acc": 1.0}),
        compared({"loss": 0.25, "acc": 1.0}),
        compared({"loss": float("nan")}),
    ]
    assert compare_rows.best("loss", found) == {1}
    assert compare_rows.best("acc", found) == set(), "all alike"
    assert compare_rows.best("epoch", found) == set()


def test_code_environment_and_resources_are_compared_place_by_place() -> None:
    git = {"syncMode": "git", "git": {"url": "https://host/a.git", "branch": "main"}}
    found = [compared(code=git), compared(environment={"name": "torch"})]
    rows = compare_rows.sections(found)["Code, environment and resources"]
    assert rows["code.git.branch"] == ["main", ""]
    assert rows["environment.name"] == ["", "torch"]
    assert rows["spec.Worker.replicas"] == ["2", "2"]
    assert not any(path.startswith("meta.") for path in rows), "those have rows of their own, or say nothing"


def ran(commit: str, packages: dict[str, str]) -> Provenance:
    git = GitState(commit=commit * 40, branch="main", dirty=False, repository=None)
    return Provenance(attempt=1, git=git, python="3.12.3", platform=None, packages=packages)


def test_the_commit_and_the_packages_are_compared() -> None:
    told = [ran("a", {"numpy": "2.0", "torch": "2.9"}), ran("b", {"numpy": "2.0"}), None]
    rows = compare_rows.sections([replace(compared(), provenance=one) for one in told])
    assert rows["Packages"] == {"numpy": ["2.0", "2.0", ""], "torch": ["2.9", "", ""]}
    about = rows["Code, environment and resources"]
    assert about["Commit"] == ["aaaaaaaaaaaa", "bbbbbbbbbbbb", ""]
    assert about["Python"] == ["3.12.3", "3.12.3", ""] and "Repository" not in about


def test_an_address_keeps_what_is_chosen() -> None:
    assert addresses.compare(["a", "b"]) == "/compare?ids=a%2Cb"
    assert addresses.compare(["a", "b"], ["val/loss", "a&b"]).endswith("&metric=val%2Floss&metric=a%26b")
    assert addresses.compare(["a", "b"], [], True).endswith("&metric=&differences=1")
