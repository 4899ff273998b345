"""Unpacking a zip of code: with modes and links, which `zipfile` drops, and never out of its place."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from submarine_ray.spec import zips
from submarine_ray.spec.links import leads_out
from submarine_ray.spec.zips import Refused

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def extract(archive: zipfile.ZipFile, target: Path) -> list[str]:
    """Unpack into a directory of one's own; sentences about what is left out: it leads out, or is no file.

    Raises OSError, Refused, and what `zips.opened` makes Refused of.
    """
    members = archive.infolist()
    need_room(target, sum(member.file_size for member in members))
    links, told = [], []
    for member in members:
        if zips.is_outside(member.filename):
            told.append(f"leaves out {member.filename}, which leads out of it")
        elif kind := zips.special(member):
            told.append(f"leaves out {member.filename}, {kind}")
        elif why := zips.name_problem(member.filename):
            raise Refused(f"holds {member.filename[:80]!r}..., {why}")
        elif zips.is_link(member):
            links.append(member)
        else:
            _write(archive, member, target)
    return [*told, *(f"leaves out {name}, which leads out of it" for name in _link(archive, links, target))]


def need_room(target: Path, size: int) -> None:
    """Raises OSError if the disk has no room for `size` bytes: no use in filling it first."""
    free = shutil.disk_usage(target).free
    if size > free:
        raise OSError(errno.ENOSPC, f"it unpacks to {size} bytes, and the disk has room for {free}")


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    place = target / PurePosixPath(member.filename)
    if member.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    mode = member.external_attr >> 16 & 0o777
    try:
        descriptor = os.open(place, _NEW_FILE, 0o666)
    except FileExistsError as failure:  # on a disk where a and A are one name, for instance
        raise Refused(f"holds {member.filename[:120]!r} twice") from failure
    with os.fdopen(descriptor, "wb") as file, archive.open(member) as content:
        shutil.copyfileobj(content, file, zips.PIECE)
        if mode:
            os.fchmod(descriptor, mode | stat.S_IRUSR | stat.S_IWUSR)


def _link(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path) -> list[str]:
    """Links are made once all files are written: nothing is written through one. Names of those that lead out."""
    made: dict[str, Path] = {}
    for member in members:
        place = target / PurePosixPath(member.filename)
        leads_to = zips.link_target(archive, member)
        if not leads_out(member.filename, leads_to) and not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(leads_to)
            made[member.filename] = place
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
