"""Fetching the code of an attempt into a replica's working directory."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from submarine_ray.runner.errors import CODE_SYNC_STATUS, CodeSyncFailed
from submarine_ray.spec.launch import Code

DOWNLOAD_SECONDS = 60


def place(code: Code, root: Path, target: Path) -> list[str]:
    """Have the code at `target`, whole or not at all; `root` is a directory of the same disk. What is to be said about
    it. Raises CodeSyncFailed.
    """
    partial = Path(tempfile.mkdtemp(dir=root))
    told = fetch(code, partial / "current")
    target.parent.mkdir(exist_ok=True)
    (partial / "current").rename(target)
    shutil.rmtree(partial)
    return told


def fetch(code: Code, target: Path) -> list[str]:
    """Copy the code to `target`; what is to be said about it. Raises CodeSyncFailed."""
    if code.mode == "git":
        from submarine_ray.runner import git

        return git.clone(code, target)
    if code.mode == "download":
        return _download(code, target)
    if code.mode == "package":
        return _package(code, target)
    return _copy(code, target)


def _package(code: Code, target: Path) -> list[str]:
    """An upload, on a disk of this machine or in the job's working directory (Ray's working_dir)."""
    from submarine_ray.runner import archives
    from submarine_ray.spec.zips import PACKED

    source = Path(code.url) if Path(code.url).is_absolute() else Path.cwd()
    try:
        if (source / PACKED).exists():
            target.mkdir(parents=True)
            return archives.unzip(source / PACKED, target)
        return copied(source, target)
    except (OSError, ValueError) as failure:
        raise CodeSyncFailed(f"the code cannot be unpacked: {failure}", CODE_SYNC_STATUS) from failure


def _download(code: Code, target: Path) -> list[str]:
    """An uploaded package from the control service; its token stays out of the URL."""
    import urllib.error
    import urllib.request

    from submarine_ray.runner import archives

    headers = {"Authorization": f"Bearer {code.password}"} if code.password else {}
    target.mkdir(parents=True)
    archive = target.with_suffix(".zip")
    try:
        request = urllib.request.Request(code.url, headers=headers)
        with urllib.request.urlopen(request, timeout=DOWNLOAD_SECONDS) as answer, archive.open("wb") as file:
            shutil.copyfileobj(answer, file)
        return archives.unzip(archive, target)
    except (OSError, ValueError) as failure:
        raise CodeSyncFailed(
            f"the code cannot be fetched from {code.url}: {failure}; do pods reach the service at its public URL?",
            CODE_SYNC_STATUS,
        ) from failure
    finally:
        archive.unlink(missing_ok=True)


def _copy(code: Code, target: Path) -> list[str]:
    """Anything that fsspec reads; an archive is unpacked."""
    if code.mode != "http" and ("://" not in code.url or code.url.startswith("file://")):
        return _copy_here(Path(code.url.removeprefix("file://")).absolute(), target)
    import fsspec

    from submarine_ray.runner import archives

    url = code.url
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        if code.mode != "http" and filesystem.isdir(path):
            _copy_directory(filesystem, path.rstrip("/"), target)
            return []
        target.mkdir(parents=True)
        name = path.rstrip("/").rsplit("/", 1)[-1].split("?")[0] or "code"
        filesystem.get_file(path, str(target / name))
        return archives.unpack(target / name)
    except ImportError as failure:
        raise CodeSyncFailed(
            f"reading {url} needs a package that the cluster lacks: {failure}", CODE_SYNC_STATUS
        ) from failure
    except (OSError, ValueError) as failure:
        raise CodeSyncFailed(f"the code at {url} cannot be read: {failure}", CODE_SYNC_STATUS) from failure


def _copy_here(path: Path, target: Path) -> list[str]:
    """A directory or a file of a disk that the cluster sees. Its name is no pattern, and its links are followed."""
    from submarine_ray.runner import archives

    try:
        if path.is_dir():
            return copied(path, target)
        target.mkdir(parents=True)
        shutil.copy(path, target / path.name)
        return archives.unpack(target / path.name)
    except (OSError, ValueError) as failure:
        raise CodeSyncFailed(f"the code at {path} cannot be read: {failure}", CODE_SYNC_STATUS) from failure


def copied(source: Path, target: Path) -> list[str]:
    """Copy a directory; what is to be said about it. Raises OSError, TooMuch."""
    from submarine_ray.client import files

    tree = files.walk(source)
    files.copy(tree, target)
    return [f"the code: {sentence}" for sentence in tree.told()]


def _copy_directory(filesystem: Any, path: str, target: Path) -> None:
    """All files below a path of a store, by name: a path with brackets is no pattern."""
    found = filesystem.find(path, withdirs=True, detail=True)
    for name, entry in found.items():
        if entry["type"] == "directory":
            (target / name[len(path) :].lstrip("/")).mkdir(parents=True, exist_ok=True)
    names = [name for name, entry in found.items() if entry["type"] != "directory"]
    places = [target / name[len(path) :].lstrip("/") for name in names]
    target.mkdir(parents=True, exist_ok=True)
    for place in places:
        if ".." in place.parts:
            raise ValueError(f"{place.name} leads out of the code")
        place.parent.mkdir(parents=True, exist_ok=True)
    if names:
        filesystem.get(names, [str(place) for place in places])
