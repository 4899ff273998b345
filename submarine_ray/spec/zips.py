"""Zips of code: what one may hold, so that it can be unpacked whole, inside its place, and without filling the disk."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from submarine_ray.spec.links import leads_out as leads_out
from submarine_ray.spec.links import resolves_inside

try:
    from lzma import LZMAError as LZMAError
except ImportError:  # some builds of Python lack it
    LZMAError = EOFError  # type: ignore[misc, assignment]

PACKED = ".submarine-package.zip"  # a package inside of what Ray unpacks: it drops names with a backslash
MAX_NAME = 255  # bytes, of a file's name on Linux
MAX_PATH = 3072  # bytes; Linux takes 4096, and the place where a zip is unpacked needs some of them
MAX_DEPTH = 100  # folders; what removes directories again goes down by recursion
MAX_ENTRIES = 100_000
MAX_DIRECTORY = 16 * 2**20  # bytes of the zip's list of entries, which is read whole
MAX_LINKS, MAX_LINK = 10_000, 4095  # links, and bytes of a link's target
RATIO, RATIO_FROM = 100, 128 * 2**20  # text packs to a tenth; the SDK sends at most so much, zeros included
PIECE = 2**20
_ENTRY_MARK = b"PK\x01\x02"
_KINDS = {
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
}  # fmt: skip
# What `zipfile` raises, for some kind of broken zip each.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError, ValueError, ArithmeticError, LookupError,
    struct.error,
)  # fmt: skip
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Refused(ValueError):
    """The zip cannot be unpacked whole, or would lead out of its directory; the message begins with a verb."""


class TooLarge(Refused):
    """The zip holds more than may be unpacked."""


@dataclass(frozen=True)
class Bounds:
    """How much a zip of `packed` bytes may hold; `unpacked` in bytes."""

    packed: int
    unpacked: int


@contextmanager
def opened(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """A zip, its list of entries bounded before it is read. Raises Refused for whatever is wrong with it."""
    try:
        with zipfile.ZipFile(_Bounded(file)) as archive:
            yield archive
    except Refused:
        raise
    except _BROKEN as failure:
        raise Refused(f"is broken, or no zip: {failure}") from failure


def check(archive: zipfile.ZipFile, bounds: Bounds) -> None:
    """Refuse what cannot be unpacked: by names and sizes first, then by reading it all. Raises Refused, TooLarge."""
    members = archive.infolist()
    if len(members) > MAX_ENTRIES:
        raise TooLarge(f"holds {len(members)} entries, and {MAX_ENTRIES} may travel; leave some out")
    for member in members:
        if why := _problem(member):
            raise Refused(f"holds {_shown(member.filename)}, {why}")
    _check_size(members, bounds)
    _check_places(members)
    _check_links(archive, members)
    for member in members:
        _read_through(archive, member)


def zipped(files: Iterable[tuple[str, bytes]], mode: int = 0) -> bytes:
    """A zip of (path in it, content), with a fixed date: the same files have the same hash, and are kept once.

    `mode`: the permissions of the files where they are unpacked; 0: the owner reads and writes them.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            member = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED  # a ZipInfo does not take the archive's
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return buffer.getvalue()


def is_link(member: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(member.external_attr >> 16)


def special(member: zipfile.ZipInfo) -> str | None:
    """What an entry is, if neither a file, a directory nor a link."""
    return _KINDS.get(stat.S_IFMT(member.external_attr >> 16))


def is_outside(name: str) -> bool:
    """Whether a name leads out of the place that it is unpacked to."""
    return name.startswith("/") or ".." in name.split("/")


def link_target(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    with archive.open(member) as content:
        return os.fsdecode(content.read(MAX_LINK + 1))


def name_problem(name: str) -> str | None:
    """Why no disk would take a name."""
    if not name:
        return "which is no name"
    parts = PurePosixPath(name).parts
    if any(len(_bytes(part)) > MAX_NAME for part in parts):
        return f"a name that is longer than {MAX_NAME} bytes"
    if len(_bytes(name)) > MAX_PATH:
        return f"a path that is longer than {MAX_PATH} bytes"
    return f"which is nested more than {MAX_DEPTH} folders deep" if len(parts) > MAX_DEPTH else None


def _problem(member: zipfile.ZipInfo) -> str | None:
    """Why one entry, looked at alone, cannot be unpacked."""
    if is_outside(member.filename):
        return "which leads out of it; pack relative paths only"
    if why := name_problem(member.filename):
        return why
    if member.flag_bits & 0x1:
        return "which is encrypted; pack it without a password"
    if member.compress_type not in _METHODS:
        return f"packed by method {member.compress_type}, which not every cluster can unpack; pack it with deflate"
    if kind := special(member):
        return f"{kind}; only files, directories and links travel"
    if is_link(member) and member.file_size > MAX_LINK:
        return f"a link whose target is longer than {MAX_LINK} bytes"
    if member.is_dir() and member.file_size:
        return "a directory that has content"
    return None


def _check_size(members: list[zipfile.ZipInfo], bounds: Bounds) -> None:
    total = sum(member.file_size for member in members)
    largest = max(members, key=lambda member: member.file_size, default=None)
    if largest is None or (total <= RATIO_FROM and total <= bounds.unpacked):
        return
    blamed = f"the largest is {_shown(largest.filename)} with {largest.file_size} bytes"
    if total > bounds.unpacked:
        raise TooLarge(f"unpacks to {total} bytes, and {bounds.unpacked} are possible; {blamed}")
    if total > RATIO * bounds.packed:
        raise TooLarge(f"unpacks to more than {RATIO} times its size; {blamed}")


def _check_places(members: list[zipfile.ZipInfo]) -> None:
    """Each place is taken once, and what is above it is a directory."""
    is_directory: dict[str, bool] = {}
    for member in members:
        place = str(PurePosixPath(member.filename))
        if place in is_directory and not (is_directory[place] and member.is_dir()):
            both = is_directory[place] != member.is_dir()
            raise Refused(f"holds {_shown(place)} {'as a file and as a directory' if both else 'twice'}")
        if place == "." and not member.is_dir():
            raise Refused(f"holds {_shown(member.filename)}, which is no name")
        is_directory[place] = member.is_dir()
    seen: set[str] = set()
    for place in is_directory:
        above = place.rpartition("/")[0]
        while above and above not in seen:
            seen.add(above)
            if is_directory.get(above) is False:
                raise Refused(f"holds {_shown(above)} as a file and as a directory")
            above = above.rpartition("/")[0]


def _check_links(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    found = [member for member in members if is_link(member)]
    if len(found) > MAX_LINKS:
        raise TooLarge(f"holds {len(found)} links, and {MAX_LINKS} may travel; pack what they lead to")
    links = {str(PurePosixPath(member.filename)): link_target(archive, member) for member in found}
    for name, target in links.items():
        if "\0" in target or not target:
            raise Refused(f"holds the link {_shown(name)}, which leads nowhere")
        if leads_out(name, target) or not resolves_inside(name, links):
            raise Refused(
                f"holds the link {_shown(name)}, which leads out of it, or in a circle; pack what it leads to"
            )


def _read_through(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """The content must be what its entry says: its size, and its checksum."""
    read = 0
    try:
        with archive.open(member) as content:
            while piece := content.read(PIECE):
                read += len(piece)
    except _BROKEN as failure:
        raise Refused(f"holds {_shown(member.filename)}, whose content is broken: {failure}") from failure
    if read != member.file_size:
        raise Refused(f"holds {_shown(member.filename)}, whose content is broken: {read} of {member.file_size} bytes")


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogatepass")


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 120 else f"{name[:80]!r}..."


class _Bounded:
    """A file that a zip's list of entries is read from only if that is not too long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.seekable = file.tell, file.seekable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as failure:
            if failure.errno != errno.EINVAL or whence != os.SEEK_SET:  # from the end: it looks how long the file is
                raise
            raise zipfile.BadZipFile("it points to what lies before its begin") from failure

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:  # contents are read in small pieces
            raise TooLarge(f"has a list of entries of {size} bytes, and {MAX_DIRECTORY} are possible")
        found = self._file.read(size)
        if size > PIECE and found.count(_ENTRY_MARK) > MAX_ENTRIES:
            raise TooLarge(f"holds more than {MAX_ENTRIES} entries; leave some out")
        return found

    def close(self) -> None:
        """The file is its opener's."""
