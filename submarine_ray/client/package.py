"""Packing a directory, or a train function, into the zip that travels to the cluster."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from submarine_ray.client import files
from submarine_ray.client.files import Entry, TooMuch, Tree

MAX_BYTES = 100 * 2**20
FUNCTION_FILE = "train_function.pkl"
MODULES, WORK = "modules", "work"  # the folders of a function's own modules, and of its working_dir
_FIXED_DATE = (2020, 1, 1, 0, 0, 0)  # the same content gives the same package
LARGEST = 3
_MOST = 0.8  # a folder of which so much is in one folder below is told by that one


Tell = Callable[[str], None]


def tell_nobody(_sentence: str) -> None:
    """Keeps what is left out to itself."""


def pack_directory(directory: Path, tell: Tell = tell_nobody) -> bytes:
    """A zip of the directory: all but what .gitignore and .submarineignore leave out. Raises TooMuch, OSError.

    `tell` is given sentences about what is left out, and what is sent from elsewhere.
    """
    buffer = io.BytesIO()
    tree = read(directory)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive, tree)
    for sentence in tree.told():
        tell(sentence)
    return buffer.getvalue()


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
    total = sum(sizes[name] for name in below[""])
    large = [name for name in below[""] if sizes[name] >= total / 100]
    for name in sorted(large, key=lambda one: -sizes[one])[:LARGEST]:
        while name.endswith("/"):
            largest = max(below.get(name, [""]), key=lambda one: sizes.get(one, 0))
            if not largest.endswith("/") or sizes[largest] < _MOST * sizes[name]:
                break
            name = largest
        found.append(f"{files.shown(name)} ({_size(sizes[name])})")
    return found


def _size(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def pack_function(function: Callable[..., Any], working_dir: Path | None = None, tell: Tell = tell_nobody) -> bytes:
    """A zip with the cloudpickled function, the modules of the user's own that it imports, and `working_dir`.

    Its module's own code travels by value. Raises TooMuch, OSError.
    """
    from submarine_ray.client import neighbours

    pickled = _pickled(function)
    trees = {MODULES: neighbours.found(pickled)}
    if working_dir is not None:
        trees[WORK] = read(working_dir)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(FUNCTION_FILE, _FIXED_DATE), pickled)
        for place, tree in trees.items():
            write(archive, tree, f"{place}/")
            for sentence in tree.told():
                tell(sentence)
    return buffer.getvalue()


def _pickled(function: Callable[..., Any]) -> bytes:
    import sys

    import cloudpickle

    module = sys.modules.get(function.__module__)
    importable = module is None or "site-packages" in (getattr(module, "__file__", None) or "")
    if not importable and function.__module__ != "__main__":
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(function))
    finally:
        if not importable and function.__module__ != "__main__":
            cloudpickle.unregister_pickle_by_value(module)
