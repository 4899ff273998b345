"""How often the control plane says `Any`: in fewer than 8 of 1,000 lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import submarine_ray

ROOT = Path(submarine_ray.__file__).parent
MOST = 8.0  # below this many places in 1,000 lines
PACKAGES = sorted(
    {file.parent.relative_to(ROOT).parts[0] for file in ROOT.rglob("*.py") if file.parent != ROOT}
    - {"client", "cli", "runner", "ml", "migrations", "_templates"}  # the user's side, and what is written once
)


def says(node: ast.AST, names: set[str]) -> int:
    return sum(isinstance(one, ast.Name) and one.id in names for one in ast.walk(node))


def places(file: Path) -> int:
    return says(ast.parse(file.read_text()), {"Any"})


def aliases(tree: ast.Module) -> Iterator[str]:
    """Names that a module gives to types with `Any` in them."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Subscript | ast.Name) and says(value, {"Any"}):
            yield target.id


@pytest.mark.parametrize("package", [*PACKAGES, ""])
def test_a_package_hardly_says_any(package: str) -> None:
    files = list((ROOT / package).rglob("*.py") if package else ROOT.glob("*.py"))  # the modules at the top have none
    found = sum(map(places, files)) * 1000 / sum(len(file.read_text().splitlines()) for file in files)
    assert found < MOST, f"{found:.1f} in 1,000 lines"


def test_nor_by_another_name() -> None:
    """Documents of Kubernetes' are dictionaries of anything, under one name (`kuberay/objects.py`): it counts as well."""
    trees = {file: ast.parse(file.read_text()) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    named = {(alias, file.stem) for file, tree in trees.items() for alias in aliases(tree)}
    assert ("Fields", "objects") in named
    found = 0
    for file, tree in trees.items():
        imported = {
            one.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for one in node.names
            if (one.name, node.module.rsplit(".", 1)[-1]) in named
        }
        own = {alias for alias, module in named if module == file.stem}
        found += says(tree, {"Any"} | imported | own)
    lines = sum(len(file.read_text().splitlines()) for file in trees)
    assert found * 1000 / lines < MOST
