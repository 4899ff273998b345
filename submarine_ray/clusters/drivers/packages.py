"""Uploaded code by its content's hash, and this project's own runner as a package for clusters that lack it."""

from __future__ import annotations

import functools
import hashlib
import io
import re
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path

from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.spec import zips

# What the runner needs in the cluster, beside the applications that Serve runs; the control plane stays here.
RUNNER_PARTS = ("spec", "client", "runner", "ml")


class PackageStore:
    """Zips below one directory, named by the SHA-256 of their content."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pinned: set[str] = set()

    def add(self, content: bytes) -> str:
        """Keep a zip; its `package://` URL. Raises InvalidSpec if it is none, or would leave its directory."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if why := zips.problem(archive):
                    raise InvalidSpec(f"the zip {why}")
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as failure:
            raise InvalidSpec("the body is not a zip file; pack the directory as one") from failure
        digest = hashlib.sha256(content).hexdigest()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self._directory / f"{digest}.zip"
        if target.exists():
            target.touch()  # uploaded again: young again
        else:
            with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as partial:
                partial.write(content)
            Path(partial.name).replace(target)
        return f"package://{digest}"

    def add_files(self, files: Iterable[tuple[str, Path]]) -> str:
        """Keep files, given as (path in the package, file), as one package; its URL."""
        return self.add(zipped((name, file.read_bytes()) for name, file in files))

    def pin(self, url: str) -> None:
        """Never prune this package."""
        self._pinned.add(url)

    def has(self, url: str) -> bool:
        return self._path(url).exists()

    def read(self, url: str) -> bytes:
        """A package's zip. Raises NotFound."""
        path = self._path(url)
        if not path.exists():
            raise NotFound(f"The package {url} is not here; upload it again.")
        return path.read_bytes()

    def read_digest(self, digest: str) -> bytes:
        """A package's zip, by what its URL ends with. Raises NotFound."""
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise NotFound(f"There is no package {digest[:80]!r}.")
        return self.read(f"package://{digest}")

    def wrapped(self, url: str) -> bytes:
        """A package inside of a zip, for stores that unpack zips in their own way."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo(zips.PACKED), self.read(url))
        return buffer.getvalue()

    def unpack(self, url: str) -> Path:
        """A package as a directory that nobody writes to: replicas copy it."""
        target = self._path(url).with_suffix("")
        if not target.exists():
            partial = Path(tempfile.mkdtemp(dir=self._directory))
            with zipfile.ZipFile(io.BytesIO(self.read(url))) as archive:
                zips.extract(archive, partial)
            try:
                partial.rename(target)
            except OSError:  # another reconciler was first: its copy is the same
                shutil.rmtree(partial, ignore_errors=True)
        return target

    def prune(self, keep: Collection[str], older_than: float) -> list[str]:
        """Remove packages that are not in `keep` and were uploaded more than `older_than` seconds ago; their URLs."""
        removed = []
        for path in self._directory.glob("*.zip"):
            url = f"package://{path.stem}"
            if url not in keep and url not in self._pinned and path.stat().st_mtime < time.time() - older_than:
                path.unlink()
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                removed.append(url)
        return removed

    def runner(self) -> tuple[str, bytes]:
        """The name and zip of the runner's own modules."""
        return _runner_package()

    def _path(self, url: str) -> Path:
        return self._directory / f"{url.removeprefix('package://')}.zip"


@functools.cache
def _runner_package() -> tuple[str, bytes]:
    root = Path(__file__).parent.parent.parent
    directories = [*(root / part for part in RUNNER_PARTS), root.parent / "serve_apps"]
    found = [path for directory in directories for path in sorted(directory.rglob("*"))]
    files = [root / "__init__.py", *(path for path in found if path.suffix in (".py", ".ipynb"))]
    content = zipped((str(file.relative_to(root.parent)), file.read_bytes()) for file in files)
    return hashlib.sha256(content).hexdigest(), content


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of (path in it, content), with a fixed date: the same files have the same hash, and are kept once."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()
