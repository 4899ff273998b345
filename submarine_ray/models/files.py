"""What the files of a saved model say of it: its flavors, its size, and the software that it was saved with.

Whoever saved the model has written them, so they are read as anybody's input: lines by their form, never as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from submarine_ray.models.signatures import FILE, MAX_BYTES
from submarine_ray.spec.answers.models import ModelFiles

REQUIREMENTS = "requirements.txt"
MAX_REQUIREMENTS = 64 * 1024
MOST = 200  # flavors, or packages, that are listed
_SIZE = re.compile(r"model_size_bytes: (\d{1,18})\s*")
_MLFLOW = re.compile(r"mlflow_version: '?([\w.+-]{1,40})'?\s*")
_PYTHON = re.compile(r"    python_version: '?([\w.+-]{1,40})'?\s*")
_FLAVOR = re.compile(r"  ([\w.-]{1,80}):\s*")


def read(text: Callable[[str, int], str | None]) -> ModelFiles:
    """`text` gives one of its files, with the most bytes that it may have; None if it is not there, or larger."""
    lines = (text(FILE, MAX_BYTES) or "").splitlines()
    size = _first(_SIZE, lines)
    packages = (line.strip() for line in (text(REQUIREMENTS, MAX_REQUIREMENTS) or "").splitlines())
    return ModelFiles(
        flavors=_flavors(lines),
        size_bytes=int(size) if size else None,
        mlflow_version=_first(_MLFLOW, lines),
        python_version=_first(_PYTHON, lines),
        requirements=[line[:300] for line in packages if line and not line.startswith("#")][:MOST],
    )


def _first(pattern: re.Pattern[str], lines: list[str]) -> str | None:
    return next((found[1] for line in lines if (found := pattern.fullmatch(line))), None)


def _flavors(lines: list[str]) -> list[str]:
    found, is_inside = [], False
    for line in lines:
        if not line[:1].isspace():
            is_inside = line.startswith("flavors:")
        elif is_inside and (flavor := _FLAVOR.fullmatch(line)):
            found.append(flavor[1])
    return found[:MOST]
