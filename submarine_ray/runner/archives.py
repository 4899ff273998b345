"""Unpacking archives of code: with modes and links, and never out of their directory."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import Path

from submarine_ray.spec import zips

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
try:
    from lzma import LZMAError
except ImportError:  # some builds of Python lack it
    LZMAError = EOFError  # type: ignore[misc, assignment]

_LEADS_OUT = "the archive: leaves out {}, which leads out of it"


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
        with zipfile.ZipFile(archive) as opened:
            return [_LEADS_OUT.format(name) for name in zips.extract(opened, target)]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, LZMAError, EOFError) as failure:
        raise Broken(f"the zip is broken, encrypted or of an unknown kind: {failure}") from failure


def _untar(archive: Path, target: Path) -> list[str]:
    if not hasattr(tarfile, "data_filter"):
        raise Broken("the cluster's Python is too old to unpack a tar safely (3.11.4 does it); send a zip")
    told = []

    def inside(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        try:
            return tarfile.data_filter(member, path)
        except tarfile.FilterError:
            told.append(_LEADS_OUT.format(member.name))
            return None

    try:
        with tarfile.open(archive) as opened:
            opened.extractall(target, filter=inside)  # noqa: S202 (the filter keeps it inside)
    except (tarfile.TarError, zlib.error, LZMAError, EOFError) as failure:
        raise Broken(f"the tar is broken: {failure}") from failure
    return told
