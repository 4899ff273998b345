"""Packing a directory, or a train function, into the zip that travels to the cluster."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from submarine_ray.client import files
from submarine_ray.client.files import Entry, TooMuch, Tree

MAX_BYTES = 100 * 2**20
FUNCTION_FILE = "train_function.pkl"
MODULES = "modules"
_FIXED_DATE = (2020, 1, 1, 0, 0, 0)  # the same content gives the same package
LARGEST = 3
_MOST = 0.8  # a folder of which so much is in one folder below is told by that one

__all__ = ["FUNCTION_FILE", "MAX_BYTES", "MODULES", "Package", "TooMuch", "pack_directory", "pack_function"]


@dataclass(frozen=True)
class Package:
    """A zip, and sentences about what is in it and what is not."""

    content: bytes
    told: list[str] = field(default_factory=list)


def pack_directory(directory: Path) -> Package:
    """A zip of the directory: all but what .gitignore and .submarineignore leave out. Raises TooMuch, OSError."""
    buffer = io.BytesIO()
    tree = read(directory)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive, tree)
    return Package(buffer.getvalue(), tree.told())


def read(directory: Path) -> Tree:
    """The files of a directory that travel. Raises TooMuch, OSError."""
    from submarine_ray.client.ignored import CACHES, Ignored

    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a directory; working_dir names the one to send along")
    tree = files.walk(directory, Ignored.at(directory), utf8_names=True)
    tree.left_out.pop(CACHES, None)  # nobody misses them
    total = sum(entry.size for entry in tree.entries)
    if total > MAX_BYTES:
        raise TooMuch(
            f"{directory.resolve()} would send {_size(total)} in {len(tree.entries)} files, and "
            f"{_size(MAX_BYTES)} may travel; the largest are {', '.join(_largest(tree.entries))}. Write into a "
            ".submarineignore there what is not needed, in the words of .gitignore; or name a smaller directory "
            "with --working-dir, or send none with --no-working-dir"
        )
    return tree


def write(archive: zipfile.ZipFile, tree: Tree, below: str = "") -> None:
    """Put a tree's files into a zip, with their modes."""
    for entry in tree.entries:
        try:
            content = b"" if entry.is_directory else entry.path.read_bytes()
        except OSError:
            tree.leave_out(files.shown(entry.name), "it went away meanwhile")
            continue
        made = zipfile.ZipInfo(f"{below}{entry.name}{'/' if entry.is_directory else ''}", _FIXED_DATE)
        made.external_attr = (entry.mode & 0o170777) << 16 | (0x10 if entry.is_directory else 0)
        made.compress_type = zipfile.ZIP_STORED if entry.is_directory else zipfile.ZIP_DEFLATED
        archive.writestr(made, content)


def _largest(entries: list[Entry]) -> list[str]:
    """The folders and files that hold the most, with their sizes."""
    sizes: dict[str, int] = {}
    for entry in entries:
        parts = entry.name.split("/")
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth]) + ("/" if depth < len(parts) or entry.is_directory else "")
            sizes[name] = sizes.get(name, 0) + entry.size
    below: dict[str, list[str]] = {}
    for name in sizes:
        above = name.rstrip("/").rpartition("/")[0]
        below.setdefault(f"{above}/" if above else "", []).append(name)
    found = []
    for name in sorted(below[""], key=lambda one: -sizes[one])[:LARGEST]:
        while name.endswith("/"):
            largest = max(below.get(name, [""]), key=lambda one: sizes.get(one, 0))
            if not largest.endswith("/") or sizes[largest] < _MOST * sizes[name]:
                break
            name = largest
        found.append(f"{files.shown(name)} ({_size(sizes[name])})")
    return found


def _size(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def pack_function(function: Callable[..., Any]) -> Package:
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
    return Package(buffer.getvalue())
