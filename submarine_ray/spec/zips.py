"""Zips of code, as the service keeps and the runner unpacks them: with modes and links, never out of their place."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path, PurePosixPath

PACKED = ".submarine-package.zip"  # a package inside of what Ray unpacks: it drops names with a backslash
MAX_NAME = 255  # bytes, of a file's name on Linux


def problem(archive: zipfile.ZipFile) -> str | None:
    """Why the zip cannot be unpacked whole, or would lead out of its directory; None if nothing is wrong."""
    kinds: dict[str, bool] = {}
    for member in archive.infolist():
        name = member.filename
        path = PurePosixPath(name)
        if name.startswith("/") or ".." in path.parts or not path.parts:
            return f"holds {name!r}, which leads out of it; pack relative paths only"
        if any(len(part.encode(errors="surrogateescape")) > MAX_NAME for part in path.parts):
            return f"holds {name[:80]!r}..., a name that is longer than {MAX_NAME} bytes"
        if member.flag_bits & 0x1:
            return f"holds {name!r} encrypted; pack it without a password"
        if is_link(member) and (len(path.parts) > MAX_NAME or leads_out(name, _target(archive, member))):
            return f"holds the link {name!r}, which leads out of it; pack what it leads to"
        kinds[str(path)] = member.is_dir()
    for name in kinds:
        if above := next((str(p) for p in PurePosixPath(name).parents if kinds.get(str(p)) is False), None):
            return f"holds {above!r} as a file and as a directory"
    return None


def extract(archive: zipfile.ZipFile, target: Path) -> list[str]:
    """Unpack with modes and links, which `zipfile` drops; the links that lead out of `target`, which are left out."""
    links = []
    for member in archive.infolist():
        if is_link(member):
            links.append(member)
            continue
        extracted = Path(archive.extract(member, target))  # takes `..` and a leading `/` out of names
        mode = member.external_attr >> 16
        if mode and not member.is_dir():
            extracted.chmod(mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
    return _link(archive, links, target)


def is_link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def leads_out(name: str, target: str) -> bool:
    """Whether a link called `name` leads out of the directory that it is unpacked to, taken by its words alone."""
    end = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120 (text, no path here)
    return os.path.isabs(target) or end == ".." or end.startswith("../")  # noqa: PTH117


def _target(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    with archive.open(member) as opened:
        return os.fsdecode(opened.read(4096))


def _link(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path) -> list[str]:
    """Links are made once all files are written: nothing is written through one."""
    made: dict[str, Path] = {}
    for member in members:
        place = target / PurePosixPath(member.filename.rstrip("/"))
        inside = ".." not in place.parts and not member.filename.startswith("/")
        if inside and not leads_out(member.filename, _target(archive, member)) and not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            made[member.filename] = place
            place.symlink_to(_target(archive, member))
    root = target.resolve()
    for name, place in list(made.items()):
        try:
            is_inside = place.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # links in a circle
            is_inside = False
        if not is_inside:  # by way of another link
            place.unlink()
            del made[name]
    return [member.filename for member in members if member.filename not in made]
