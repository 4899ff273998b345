"""The directory of uploaded packages: zips by their content's hash, and beside each what it unpacks to."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from submarine_ray.core.errors import InvalidSpec, NotFound, TooLarge, Unavailable
from submarine_ray.spec import zips
from submarine_ray.spec.code import PACKAGE_URL
from submarine_ray.spec.unzip import extract

MAX_UNPACKED = 2**30
# Names that no package has: what is being written, and what is on its way out.
_PASSING = ("incoming-", "unpacking-", "leaving-")
_OLD_PASSING = re.compile(r"tmp[a-z0-9_]{8}")  # as earlier versions named them
STALE_SECONDS = 3600.0


class Incoming:
    """A package on its way in: written beside the others, hashed as it comes."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.path = path
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Raises Unavailable if the disk takes no more."""
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError as failure:
            raise _unavailable(failure) from failure
        self._hash.update(piece)
        self.size += len(piece)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


class PackageStore:
    """Zips below one directory, named by the SHA-256 of their content; `max_unpacked` bounds what each unpacks to."""

    def __init__(self, directory: Path, max_unpacked: int = MAX_UNPACKED) -> None:
        self._directory = directory
        self._max_unpacked = max_unpacked

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Where a package is written before it is kept; however that ends, nothing else stays. Raises Unavailable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = tempfile.NamedTemporaryFile(dir=self._directory, prefix=_PASSING[0], delete=False)  # noqa: SIM115
        except OSError as failure:
            raise _unavailable(failure) from failure
        path = Path(file.name)
        try:
            with file:
                yield Incoming(file, path)
        finally:
            path.unlink(missing_ok=True)

    def keep(self, incoming: Incoming) -> str:
        """Make what has come in a package; its URL. Raises InvalidSpec, TooLarge, Unavailable."""
        try:
            self._check(incoming)
            # Even if it is here: uploaded again it is young again, and whole again if the disk has lost some of it.
            incoming.path.replace(self._directory / f"{incoming.digest}.zip")
        except OSError as failure:
            raise _unavailable(failure) from failure
        return f"package://{incoming.digest}"

    def has(self, url: str) -> bool:
        return self._path(url).exists()

    def file(self, url: str) -> Path:
        """The file of a package, given by its URL or by what that ends with. Raises NotFound."""
        if not PACKAGE_URL.fullmatch(f"package://{url.removeprefix('package://')}"):
            raise NotFound(f"There is no package {url[:80]!r}.")
        path = self._path(url)
        if not path.exists():
            raise NotFound(f"The package {url} is not here; upload it again.")
        return path

    def present(self, url: str) -> Path:
        """The file of a package. Raises NotFound, and OSError where the directory itself is not there."""
        if not self._directory.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"{self._directory} is not there")
        return self.file(url)

    def unpack(self, url: str) -> Path:
        """A package as a directory that nobody writes to: replicas copy it. Raises NotFound, zips.Refused, OSError."""
        target = self._unpacked(url)
        complete = target / "complete"  # what an interrupted removal takes away first
        if complete.exists():
            return target / "content"
        path = self.present(url)
        with self._passing(_PASSING[1]) as partial:
            self._leave(target)
            content = partial / "content"
            content.mkdir()
            with path.open("rb") as file, zips.opened(file) as archive:
                extract(archive, content)
            (partial / "complete").touch()
            try:
                partial.rename(target)
            except OSError:  # another reconciler was first: its copy is the same
                if not complete.exists():
                    raise
        return target / "content"

    def prune(self, keep: Collection[str], older_than: float) -> list[str]:
        """Remove packages that are not in `keep` and were uploaded more than `older_than` seconds ago; their URLs.

        What an interrupted upload or unpacking left goes as well.
        """
        removed = []
        for path in self._directory.glob("*.zip"):
            url = f"package://{path.stem}"
            if url not in keep and _age(path) > older_than:
                try:
                    path.unlink()
                except FileNotFoundError:  # another control service was first, and has told of it
                    continue
                self._leave(self._unpacked(url))
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # where earlier versions unpacked it
                removed.append(url)
        for path in self._directory.glob("*"):
            if (path.name.startswith(_PASSING) or _OLD_PASSING.fullmatch(path.name)) and _age(path) > STALE_SECONDS:
                _remove(path)
        return removed

    def _check(self, incoming: Incoming) -> None:
        try:
            with incoming.path.open("rb") as file, zips.opened(file) as archive:
                zips.check(archive, zips.Bounds(incoming.size, self._max_unpacked))
        except zips.TooLarge as failure:
            raise TooLarge(f"The zip {failure}.") from failure
        except zips.Refused as failure:
            raise InvalidSpec(f"the zip {failure}") from failure

    @contextmanager
    def _passing(self, prefix: str) -> Iterator[Path]:
        """A directory beside the packages that is gone afterwards, or has another name."""
        directory = Path(tempfile.mkdtemp(dir=self._directory, prefix=prefix))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _leave(self, directory: Path) -> None:
        """Remove an unpacked package, at no time half of it under its name."""
        with self._passing(_PASSING[2]) as away:
            try:
                directory.rename(away / "gone")
            except FileNotFoundError:
                return

    def _path(self, url: str) -> Path:
        return self._directory / f"{url.removeprefix('package://')}.zip"

    def _unpacked(self, url: str) -> Path:
        return self._path(url).with_suffix(".unpacked")


def _unavailable(failure: OSError) -> Unavailable:
    return Unavailable(f"The package cannot be stored: {failure.strerror or failure}; try again later.")


def _age(path: Path) -> float:
    """Seconds since it was last written to; 0 for what has just gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
