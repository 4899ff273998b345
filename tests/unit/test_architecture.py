"""docs/architecture.md: the packages, modules and functions that it names are there, and a fourth kind touches what it says."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
from pydantic import TypeAdapter

import submarine_ray
from submarine_ray.clusters import register
from submarine_ray.clusters.drivers.kinds import Means
from submarine_ray.clusters.drivers.ray.kind import RayAddress, RayKind
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import InvalidSpec
from submarine_ray.core.settings import Settings
from submarine_ray.platform import Platform
from submarine_ray.spec.clusters import RayClusterSpec
from submarine_ray.spec.experiment import ExperimentSpec
from tests.conftest import spec
from tests.reconcile.jobs import FakeJobs

ROOT = Path(submarine_ray.__file__).parent
PAGE = (ROOT.parent / "docs" / "architecture.md").read_text()
EXAMPLE = list(PAGE.split("| what happens | where |")[1].split("\n\n")[0].splitlines()[2:])


def named_in(line: str) -> Iterator[tuple[str, str]]:
    """Modules, each with the functions that are named after it."""
    file = ""
    for word in re.findall(r"`([^`]+)`", line.split("|")[2]):
        if word.endswith((".py", "/")):
            file = word
            yield file, ""
        else:
            yield file, word


def functions(file: Path) -> set[str]:
    """`function`, and `Class.method`, of a module."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.AsyncFunctionDef)}
    return found


@pytest.mark.parametrize("line", EXAMPLE)
def test_each_function_of_the_example_is_where_the_page_says(line: str) -> None:
    for module, function in named_in(line):
        file = ROOT / module
        assert file.exists(), module
        if not function or file.is_dir():
            continue
        there = functions(file)
        is_inner = f"def {function}(" in file.read_text()  # an endpoint, or a method whose class goes without saying
        assert function in there or ("." not in function and is_inner), function


def test_each_package_has_its_line() -> None:
    rows = PAGE.split("| package | what it is |")[1].split("\n\n")[0].splitlines()[2:]
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`(\w+)/`", row.split("|")[1])}
    assert named == {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"migrations"}


def test_modules_that_are_named_are_there() -> None:
    folders = ("", "core", "clusters", "clusters/drivers", "clusters/drivers/kuberay", "spec", "access", "admission")
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    text = {name for name in named if not name.startswith(("tests/", "clusters/drivers/slurm/"))}
    packages = ("tracking", "workbench", "core/engine", "experiments")
    missing = [name for name in text if not any((ROOT / one / name).exists() for one in (*folders, *packages))]
    assert missing == []


class SlurmClusterSpec(RayClusterSpec):
    kind: Literal["slurm"] = "slurm"  # type: ignore[assignment]


class SlurmAddress(RayAddress):
    def connect(self, means: Means) -> FakeJobs:  # type: ignore[override]
        return FakeJobs()


class SlurmKind(RayKind):
    def address(self, row: ClusterRow, means: Means) -> SlurmAddress:
        return SlurmAddress(row.address or "", None)


def test_a_fourth_kind_is_a_spec_and_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `A new kind of cluster` says, done: nothing else is changed, and experiments are sent there."""
    package, kind = ModuleType("submarine_ray.clusters.drivers.slurm"), ModuleType("kind")
    kind.KIND = SlurmKind()  # type: ignore[attr-defined]
    for name, module in ((package.__name__, package), (f"{package.__name__}.kind", kind)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(register, "_SPEC", TypeAdapter(SlurmClusterSpec))
    assert importlib.import_module(f"{package.__name__}.kind") is kind

    platform = Platform(Settings(home=tmp_path, allow_cluster_networks="127.0.0.0/8"))  # type: ignore[arg-type]
    try:
        platform.database.migrate()
        platform.clusters.ensure_local()
        made = platform.clusters.create(SlurmClusterSpec(name="big", address="http://127.0.0.1:9"))  # type: ignore[arg-type]
        assert (made.kind, platform.clusters.get("big").kind) == ("slurm", "slurm")
        driver, capacity = platform.clusters.driver_and_capacity("big")
        assert isinstance(driver, FakeJobs) and capacity == driver.capacity()
        accepted = platform.experiments.create(ExperimentSpec.model_validate(spec(cluster="big")))
        assert accepted.spec.cluster == "big"
        assert platform.clusters.check("big")[0].ok
        with pytest.raises(InvalidSpec):
            platform.experiments.create(ExperimentSpec.model_validate(spec(cluster="none")))
    finally:
        platform.database.close()
