"""What a model was saved with, and what is here instead."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

FILE = "requirements.txt"


def differing(model: Path) -> list[str]:
    """`scikit-learn==1.2.0 (here 1.9.1)` for each of the model's pinned requirements that is not met here."""
    try:
        lines = (model / FILE).read_text().splitlines()
    except OSError:
        return []
    return [found for line in lines if (found := _differing(line.partition("#")[0].strip()))]


def _differing(line: str) -> str | None:
    try:
        wanted = Requirement(line)
    except InvalidRequirement:  # an option, a path, or nothing
        return None
    if not wanted.specifier or (wanted.marker and not wanted.marker.evaluate()):
        return None
    try:
        here = version(wanted.name)
    except PackageNotFoundError:
        return f"{wanted.name}{wanted.specifier} (not here)"
    return (
        None if wanted.specifier.contains(here, prereleases=True) else f"{wanted.name}{wanted.specifier} (here {here})"
    )


def sentence(differences: list[str]) -> str:
    """For people."""
    return f"It was saved with other versions: {', '.join(differences[:10])}"
