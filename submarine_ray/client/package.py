"""Packing a directory, or a train function, into the zip that travels to the cluster."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 100 * 2**20
SKIPPED = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        ".venv",
        "venv",
        "node_modules",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".tox",
        ".submarine",
    }
)
FUNCTION_FILE = "train_function.pkl"
_FIXED_DATE = (2020, 1, 1, 0, 0, 0)  # the same content gives the same package


class TooMuch(ValueError):
    """The directory is larger than what may travel."""


def pack_directory(directory: Path) -> bytes:
    """A zip of the directory without caches, environments and version control. Raises TooMuch."""
    buffer, total = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _files(directory):
            status = path.stat()
            total += status.st_size
            if total > MAX_BYTES:
                raise TooMuch(
                    f"{directory} holds more than {MAX_BYTES // 2**20} MiB; run from a smaller directory, "
                    "name one with --working-dir, or send none with --no-working-dir"
                )
            entry = zipfile.ZipInfo(str(path.relative_to(directory)), _FIXED_DATE)
            entry.external_attr = (status.st_mode & 0o777) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def pack_function(function: Callable[..., Any]) -> bytes:
    """A zip with the cloudpickled function; its module's own code travels by value."""
    import sys

    import cloudpickle

    module = sys.modules.get(function.__module__)
    importable = module is None or "site-packages" in (getattr(module, "__file__", None) or "")
    if not importable and function.__module__ != "__main__":
        cloudpickle.register_pickle_by_value(module)
    try:
        content = cloudpickle.dumps(function)
    finally:
        if not importable and function.__module__ != "__main__":
            cloudpickle.unregister_pickle_by_value(module)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(FUNCTION_FILE, _FIXED_DATE), content)
    return buffer.getvalue()


def _files(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory):
        directories[:] = sorted(d for d in directories if d not in SKIPPED)
        for name in sorted(names):
            path = Path(root) / name
            if path.is_file() and not path.name.endswith(".pyc"):
                yield path
