"""Clusters' kinds: what each can do, and that nothing but a kind's own package knows of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import submarine_ray
from submarine_ray.clusters.drivers import kinds
from submarine_ray.clusters.drivers.kinds import Capabilities
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.sealed import Kept
from submarine_ray.spec.clusters import LOCAL_CLUSTER, KubeRayClusterSpec, RayClusterSpec

ROOT = Path(submarine_ray.__file__).parent
REGISTERED = [str(get_args(spec.model_fields["kind"].annotation)[0]) for spec in (RayClusterSpec, KubeRayClusterSpec)]
ALL = ["local", *REGISTERED]
DRIVERS = ROOT / "clusters" / "drivers"
# What users write and read, and what the CLI makes of its options; a migration is what it was when it was written.
WORDS_OF_USERS = ("spec", "cli", "migrations")


def modules(below: Path) -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(below.rglob("*.py")):
        yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text())


def knows_a_kind(tree: ast.AST) -> list[str]:
    """The places where a module compares a kind of cluster, or reaches for what one kind alone has."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            named = [one.value for side in sides for one in ast.walk(side) if isinstance(one, ast.Constant)]
            if {*ALL} & {one for one in named if isinstance(one, str)}:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            names = {alias.name for alias in node.names}
            if parts[:3] == ["submarine_ray", "clusters", "drivers"] and {*parts[3:4], *names} & {*ALL}:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
            if "LOCAL_CLUSTER" in names or {one.__name__ for one in (RayClusterSpec, KubeRayClusterSpec)} & names:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_nothing_outside_its_package_knows_a_kind_of_cluster() -> None:
    own = tuple(f"clusters/drivers/{kind}/" for kind in ALL)
    found = {
        name: known
        for name, tree in modules(ROOT)
        if not name.startswith((*own, *(f"{part}/" for part in WORDS_OF_USERS))) and (known := knows_a_kind(tree))
    }
    # That there is always one local cluster, which nobody registers or deletes, is the registry's own rule.
    assert list(found) == ["clusters/service.py"], found
    assert [line.split(": ")[1] for line in found["clusters/service.py"]] == [
        "from submarine_ray.spec.clusters import LOCAL_CLUSTER, ClusterSpec"
    ]


@pytest.mark.parametrize("source", ["x = row.kind == 'kuberay'", "x = name in ('local', 'other')",
                                    "from submarine_ray.clusters.drivers.kuberay import names",
                                    "from submarine_ray.spec.clusters import LOCAL_CLUSTER"])  # fmt: skip
def test_such_knowledge_is_found(source: str) -> None:
    assert knows_a_kind(ast.parse(source))


@pytest.mark.parametrize("kind", ALL)
def test_each_kind_that_users_may_name_has_a_package(kind: str) -> None:
    assert (DRIVERS / kind / "kind.py").exists()
    assert kinds.named(kind) is kinds.of(ClusterRow(name="c", kind=kind))


@pytest.mark.parametrize(
    ("kind", "spec", "can"),
    [
        ("local", None, Capabilities(is_here=True)),
        ("ray", '{"name": "c", "address": "http://h:8265"}', Capabilities()),
        ("kuberay", '{"name": "c", "kind": "kuberay"}',
         Capabilities(has_pods=True, has_dashboard=False, shares_serve=False, makes_room=True)),
        ("kuberay", '{"name": "c", "kind": "kuberay", "mode": "shared"}',
         Capabilities(has_dashboard=False, shares_serve=False, makes_room=True)),
    ],
)  # fmt: skip
def test_what_clusters_can_do(kind: str, spec: str | None, can: Capabilities) -> None:
    row = ClusterRow(name="c", kind=kind, spec=Kept(spec) if spec else None)
    assert kinds.of(row).capabilities(row) == can


def test_the_local_cluster_is_of_the_kind_of_its_name() -> None:
    assert kinds.named(LOCAL_CLUSTER).capabilities(ClusterRow(name="local", kind="local")).is_here
