"""The user's own modules that a pickled function asks for: they lie beside the script, and travel with it.

What a function imports is in its pickle by name: modules of its globals, and those that its code imports while it runs.
A name that is no module costs a look at the disk; one that happens to be a module's costs its few bytes.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import pickletools
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from submarine_ray.client.files import Entry, TooMuch, Tree

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_OURS = ("__main__", "submarine_ray", "submarine", "serve_apps")
_INSTALLED = ("site-packages", "dist-packages")


def found(pickled: bytes) -> Tree:
    """The modules' files, by paths below a directory that Python would import from. Raises TooMuch, OSError."""
    tree, seen = Tree(), set(_OURS)
    waiting = list(_names_in(pickled))
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        # A folder without __init__.py is a module only where something inside of it is asked for.
        place = None if top in seen else _place(top, name.partition(".")[2])
        if place is None:
            continue
        seen.add(top)
        try:
            entries = list(_entries(top, place, tree))
        except TooMuch as failure:
            if top in sys.modules:
                raise
            # Such as `models` of `torchvision.models`, beside a folder of that name: likely nobody's import.
            tree.leave_out(f"{top}/", f"nothing has imported it here, and {failure}")
            continue
        tree.entries += entries
        for entry in entries:
            if entry.name.endswith(".py"):
                waiting += _imports(entry.path)
    tree.entries.sort(key=lambda entry: entry.name)
    return tree


def _names_in(pickled: bytes) -> Iterator[str]:
    strings = {argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)}
    for text in strings:
        if len(text) < 200 and _NAME.fullmatch(text):
            yield text


def _place(top: str, rest: str) -> Path | None:
    """Where a module of the user's own lies: a file, or the folder of a package; None if it is no such module.

    `rest` is what is asked for inside of it: it tells a folder of modules from one that `data.csv` happens to name.
    """
    if top in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):  # a module that was made in memory
        return None
    if spec is None:
        return None
    if spec.origin and spec.origin.endswith(".py"):
        file = Path(spec.origin)
        place = file.parent if spec.submodule_search_locations else file
    elif spec.submodule_search_locations and spec.origin is None:
        place = Path(next(iter(spec.submodule_search_locations)))
        inner = place / rest.partition(".")[0]
        if top not in sys.modules and not (rest and (inner.is_dir() or inner.with_suffix(".py").exists())):
            return None
    else:
        return None
    script = getattr(sys.modules["__main__"], "__file__", None)  # it travels by value, as far as it is needed
    is_script = script is not None and place == Path(script).absolute()
    return place if place.exists() and not is_script and not _is_installed(place) else None


def _is_installed(place: Path) -> bool:
    standard = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")]
    resolved = place.resolve()
    return any(part in _INSTALLED for part in resolved.parts) or any(resolved.is_relative_to(one) for one in standard)


def _entries(top: str, place: Path, tree: Tree) -> Iterator[Entry]:
    from submarine_ray.client import package

    if place.is_file():
        status = place.stat()
        yield Entry(place.name, place, status.st_mode, status.st_size)
        return
    below = package.read(place)
    for why, names in below.left_out.items():
        for name in names:
            tree.leave_out(f"{top}/{name}", why)
    for entry in below.entries:
        yield Entry(f"{top}/{entry.name}", entry.path, entry.mode, entry.size, entry.is_directory)


def _imports(file: Path) -> list[str]:
    """What a module imports by absolute names; what it imports relatively is in its package."""
    try:
        parsed = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):  # then it says so itself, when it is imported
        return []
    names: list[str] = []
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names
