"""A directory's files as they travel: links are followed, empty directories kept, what cannot travel is told."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submarine_ray.client.ignored import Ignored

MAX_ENTRIES = 2_000_000
NAMES_TOLD = 5


class TooMuch(ValueError):
    """The directory is larger, or deeper, than what may travel."""


@dataclass(frozen=True)
class Entry:
    """A file, or a directory with nothing in it. `name` is relative; of a link, mode and size are its target's."""

    name: str
    path: Path
    mode: int
    size: int
    is_directory: bool = False


@dataclass
class Tree:
    """What of a directory travels, and what is to be told: a reason with the names that it is for."""

    entries: list[Entry] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    followed: list[str] = field(default_factory=list)

    def leave_out(self, name: str, why: str) -> None:
        self.left_out.setdefault(why, []).append(name)

    def told(self) -> list[str]:
        """Sentences about it, for who sends it."""
        sentences = [f"follows {_several(self.followed)}, and sends what is there"] if self.followed else []
        return sentences + [f"leaves out {_several(names)} ({why})" for why, names in self.left_out.items()]


def walk(root: Path, ignored: Ignored | None = None, utf8_names: bool = False) -> Tree:
    """The files of a directory, in the order of their names.

    Args:
        root: the directory.
        ignored: what stays at home; default nothing.
        utf8_names: leave out what is not named in UTF-8, as a zip wants it.

    Raises OSError if the directory itself cannot be read; TooMuch beyond MAX_ENTRIES, or hundreds of levels.
    """
    tree = Tree()
    try:
        _Walk(tree, root.resolve(), utf8_names).directory(root, "", ignored, ())
    except RecursionError:
        raise TooMuch(f"{root} has directories nested hundreds deep; name a smaller directory") from None
    return tree


def copy(tree: Tree, target: Path) -> None:
    """Copy a tree's files to `target`, with their modes and times. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in tree.entries:
        place = target / entry.name
        if entry.is_directory:
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(entry.path, place)
        except FileNotFoundError:
            tree.leave_out(shown(entry.name), "it went away meanwhile")
        else:
            place.chmod(entry.mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)


def shown(name: str) -> str:
    """A name for a person; its bytes where it is no text, or would not stay in its line."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return repr(os.fsencode(name))[1:]
    return name if name.isprintable() else repr(name)


def _several(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(names[:NAMES_TOLD]) + more


class _Walk:
    """Goes through a directory; `chain` holds the directories above, by which links in a circle are known."""

    def __init__(self, tree: Tree, root: Path, utf8_names: bool) -> None:
        self._tree = tree
        self._root = root
        self._utf8_names = utf8_names

    def directory(self, path: Path, name: str, ignored: Ignored | None, chain: tuple[tuple[int, int], ...]) -> None:
        """`name` ends with `/`, or is empty."""
        status = path.stat()
        here = (*chain, (status.st_dev, status.st_ino))
        rules = ignored.inside(path, name) if ignored else None
        before = len(self._tree.entries)
        for entry in self._sorted(path, name):
            self._entry(entry, f"{name}{entry.name}", rules, here)
        if name and len(self._tree.entries) == before:
            self._add(Entry(name.rstrip("/"), path, status.st_mode, 0, is_directory=True))

    def _sorted(self, path: Path, name: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(path) as found:
                yield from sorted(found, key=lambda entry: entry.name)
        except PermissionError:
            if not name:
                raise
            self._tree.leave_out(shown(name), "it may not be read")

    def _entry(
        self, entry: os.DirEntry[str], name: str, rules: Ignored | None, chain: tuple[tuple[int, int], ...]
    ) -> None:
        path = Path(entry.path)
        try:
            status = path.stat()
        except OSError:
            if not (rules and rules.leaves_out(name)):
                self._tree.leave_out(shown(name), "a link to nothing")
            return
        is_directory = stat.S_ISDIR(status.st_mode)
        name = f"{name}/" if is_directory else name
        if why := self._ignored(path, name, is_directory, rules):
            self._tree.leave_out(shown(name), why)
        elif self._utf8_names and not _is_utf8(entry.name):
            self._tree.leave_out(shown(name), "a zip cannot hold a name that is not UTF-8")
        elif is_directory:
            if (status.st_dev, status.st_ino) in chain:
                self._tree.leave_out(shown(name), "a link in a circle")
                return
            if entry.is_symlink() and not path.resolve().is_relative_to(self._root):
                self._tree.followed.append(f"{shown(name.rstrip('/'))} to {shown(str(path.resolve()))}")
            self.directory(path, name, rules, chain)
        elif not stat.S_ISREG(status.st_mode):
            self._tree.leave_out(shown(name), "neither a file nor a directory")
        elif not os.access(path, os.R_OK):
            self._tree.leave_out(shown(name), "it may not be read")
        else:
            self._add(Entry(name, path, status.st_mode, status.st_size))

    @staticmethod
    def _ignored(path: Path, name: str, is_directory: bool, rules: Ignored | None) -> str | None:
        if rules is None:
            return None
        from submarine_ray.client.ignored import ENVIRONMENTS

        said = rules.leaves_out(name)
        return said or (ENVIRONMENTS if is_directory and (path / "pyvenv.cfg").exists() else None)

    def _add(self, entry: Entry) -> None:
        if len(self._tree.entries) >= MAX_ENTRIES:
            raise TooMuch(f"{self._root} holds more than {MAX_ENTRIES} files; name a smaller directory")
        self._tree.entries.append(entry)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
