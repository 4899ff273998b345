"""Packages: uploaded directories of code, and how long they are kept."""

from __future__ import annotations

import errno
import io
import zipfile
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect

from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.errors import InvalidSpec, NotFound, TooLarge
from submarine_ray.packages.store import PackageStore
from submarine_ray.spec import zips
from submarine_ray.spec.deletions import DeletedKind

PIECE = 2**20
# The service's own lacks, which pass: no room, no handles, no right, a disk that is not there.
_PASSING_FAILURES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS, errno.EACCES,
     errno.EPERM, errno.ESTALE, errno.ENOENT, errno.ETIMEDOUT}
)  # fmt: skip


class PackageUnusable(Exception):
    """The package is gone, or can never be unpacked; the message is a whole sentence."""


class PackageNotReady(Exception):
    """The package cannot be unpacked now; the message is a whole sentence."""


class PackageService:
    """Takes packages in, hands them out, and removes those that nobody refers to."""

    def __init__(self, store: PackageStore, tombstones: Tombstones) -> None:
        self._store = store
        self._tombstones = tombstones
        self._pinned: set[str] = set()

    def add(self, content: bytes) -> str:
        """Keep a zip; its `package://` URL. Raises InvalidSpec, TooLarge if it cannot be unpacked, Unavailable."""
        with self._store.incoming() as incoming:
            incoming.write(content)
            return self._store.keep(incoming)

    def add_files(self, files: Iterable[tuple[str, Path]]) -> str:
        """Keep files, given as (path in the package, file), as one package; its URL."""
        return self.add(zips.zipped((name, file.read_bytes()) for name, file in files))

    async def receive(self, pieces: AsyncIterator[bytes], limit: int, checks: CapacityLimiter) -> str:
        """Keep what comes, at most `limit` bytes; its URL. `checks` bounds how many are looked through at once.

        Raises TooLarge, InvalidSpec, Unavailable; whatever it raises, nothing of the upload stays.
        """
        with self._store.incoming() as incoming:
            waiting = bytearray()
            try:
                async for piece in pieces:
                    waiting += piece
                    if incoming.size + len(waiting) > limit:
                        raise TooLarge(too_large(limit))
                    if len(waiting) >= PIECE:
                        await to_thread.run_sync(incoming.write, bytes(waiting))
                        waiting.clear()
            except ClientDisconnect as failure:
                raise InvalidSpec("the upload ended before the whole body had come") from failure
            await to_thread.run_sync(incoming.write, bytes(waiting))
            return await to_thread.run_sync(self._store.keep, incoming, limiter=checks)

    def has(self, url: str) -> bool:
        return self._store.has(url)

    def file(self, url: str) -> Path:
        """The file of a package, given by its URL or by what that ends with. Raises NotFound."""
        return self._store.file(url)

    def read(self, url: str) -> bytes:
        """A package's zip. Raises NotFound."""
        return self.file(url).read_bytes()

    def unpack(self, url: str) -> Path:
        """A package as a directory that nobody writes to: replicas copy it. Raises PackageUnusable, PackageNotReady."""
        with _usable():
            return self._store.unpack(url)

    def wrapped(self, url: str) -> bytes:
        """A package inside of a zip, for stores that unpack zips in their own way.

        Raises PackageUnusable, PackageNotReady.
        """
        buffer = io.BytesIO()
        with _usable(), zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo(zips.PACKED), self._store.present(url).read_bytes())
        return buffer.getvalue()

    def pin(self, url: str) -> None:
        """Never prune this package."""
        self._pinned.add(url)

    def prune(self, referred: Collection[str], age: float) -> list[str]:
        """Remove packages that are not in `referred` and were uploaded more than `age` seconds ago; their URLs."""
        dropped = self._store.prune(self._pinned.union(referred), age)
        for url in dropped:
            self._tombstones.bury(DeletedKind.PACKAGE, url)
        return dropped


def too_large(limit: int) -> str:
    """What is said of an upload of more than `limit` bytes."""
    return f"The body is larger than {limit} bytes, which SUBMARINE_MAX_PACKAGE_BYTES sets."


@contextmanager
def _usable() -> Iterator[None]:
    """Failures of a package that an attempt needs, as what they mean for it."""
    try:
        yield
    except NotFound as failure:
        raise PackageUnusable(f"The code is gone: {failure}") from failure
    except zips.Refused as failure:
        raise PackageUnusable(f"The code cannot be unpacked: the zip {failure}.") from failure
    except OSError as failure:
        if failure.errno not in _PASSING_FAILURES:
            raise PackageUnusable(f"The code cannot be unpacked: {failure}.") from failure
        raise PackageNotReady(f"The code cannot be unpacked now: {failure}.") from failure
