"""How often the control plane says `Any`: in fewer than 8 of 1,000 lines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import submarine_ray

ROOT = Path(submarine_ray.__file__).parent
MOST = 8.0  # below this many places in 1,000 lines
PACKAGES = sorted(
    {file.parent.relative_to(ROOT).parts[0] for file in ROOT.rglob("*.py") if file.parent != ROOT}
    - {"client", "cli", "runner", "ml", "migrations", "_templates"}  # the user's side, and what is written once
)


def places(file: Path) -> int:
    return sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(ast.parse(file.read_text())))


@pytest.mark.parametrize("package", [*PACKAGES, ""])
def test_a_package_hardly_says_any(package: str) -> None:
    files = list((ROOT / package).rglob("*.py") if package else ROOT.glob("*.py"))  # the modules at the top have none
    found = sum(map(places, files)) * 1000 / sum(len(file.read_text().splitlines()) for file in files)
    assert found < MOST, f"{found:.1f} in 1,000 lines"
