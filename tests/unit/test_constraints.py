"""What constraints.txt pins can be installed wherever the project says that it runs."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]


def test_no_pinned_package_wants_a_later_python() -> None:
    """Debian 12 has Python 3.11.2: pip does not say that a pin is too new, it looks for another answer without an end."""
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    wanted = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        try:
            wanted[line] = metadata(line.split("==")[0]).get("Requires-Python") or ""
        except PackageNotFoundError:  # of an extra that is not installed, or of the image
            continue
    assert len(wanted) > 200
    assert [line for line, pythons in wanted.items() if not SpecifierSet(pythons).contains(f"{oldest}.0")] == []
