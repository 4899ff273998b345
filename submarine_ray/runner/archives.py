"""Unpacking archives of code: with modes and links, and never out of their directory."""

from __future__ import annotations

import errno
import shutil
import tarfile
import zlib
from pathlib import Path

from submarine_ray.spec import zips
from submarine_ray.spec.unzip import extract
from submarine_ray.spec.zips import LZMAError

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


class Broken(ValueError):
    """The archive cannot be unpacked; the message says why."""


def unpack(file: Path) -> list[str]:
    """Unpack an archive where it lies, and remove it; other files stay. Sentences to tell. Raises OSError, Broken."""
    if file.name.endswith(".zip"):
        unpacked = unzip
    elif file.name.endswith(_TARS):
        unpacked = _untar
    else:
        return []
    archive = file.replace(file.with_name(f".{file.name}.packed"))  # what is in it may have its name
    told = unpacked(archive, file.parent)
    archive.unlink()
    return told


def unzip(archive: Path, target: Path) -> list[str]:
    """Unpack a zip. Raises OSError, Broken."""
    try:
        with archive.open("rb") as file, zips.opened(file) as opened:
            return [f"the archive: {sentence}" for sentence in extract(opened, target)]
    except zips.Refused as failure:
        raise Broken(f"the zip {failure}") from failure


def _untar(archive: Path, target: Path) -> list[str]:
    if not hasattr(tarfile, "data_filter"):
        raise Broken("the cluster's Python is too old to unpack a tar safely (3.11.4 does it); send a zip")
    told: list[str] = []
    room = shutil.disk_usage(target).free
    unpacked_so_far = 0

    def inside(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        nonlocal unpacked_so_far
        unpacked_so_far += member.size
        if unpacked_so_far > room:
            raise OSError(errno.ENOSPC, f"it unpacks to more than {room} bytes, for which the disk has room")
        try:
            return tarfile.data_filter(member, path)
        except tarfile.SpecialFileError:
            told.append(f"the archive: leaves out {member.name}, a device or a pipe")
        except tarfile.FilterError:
            told.append(f"the archive: leaves out {member.name}, which leads out of it")
        return None

    try:
        with tarfile.open(archive) as opened:
            opened.extractall(target, filter=inside)  # noqa: S202 (the filter keeps it inside)
    except (tarfile.TarError, zlib.error, LZMAError, EOFError) as failure:
        raise Broken(f"the tar is broken: {failure}") from failure
    return told
