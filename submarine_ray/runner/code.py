"""Fetching the code of an attempt into a replica's working directory."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.runner.errors import CodeSyncFailed
from submarine_ray.spec.launch import Code, Launch

GIT_SECONDS = 600
DOWNLOAD_SECONDS = 60
CODE_SYNC_STATUS = 70


@dataclass(frozen=True)
class Workspace:
    """A replica's own place on its node's disk: `root` has what the platform needs, `directory` is where it runs."""

    root: Path
    directory: Path
    keep: bool

    @property
    def spool(self) -> Path:
        """Where `log_metric` writes."""
        return self.root / ".metrics.jsonl"

    def variables(self) -> dict[str, str]:
        """Submarine's CODE_PATH, where there is code: it lies in $CODE_PATH/current."""
        return {} if self.directory == self.root else {"CODE_PATH": str(self.directory.parent)}

    def close(self) -> None:
        """Leave nothing behind on clusters where nobody would tidy up."""
        if not self.keep:
            shutil.rmtree(self.root, ignore_errors=True)


def prepare(launch: Launch, replica: str) -> Workspace:
    """The replica's workspace, with the code in it if there is any. Raises CodeSyncFailed."""
    root = Path(launch.work_dir) / replica if launch.work_dir else Path(tempfile.mkdtemp(prefix="submarine-"))
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if launch.tensorboard_dir:
        Path(launch.tensorboard_dir).mkdir(parents=True, exist_ok=True)
    if launch.code is None:
        return Workspace(root, root, launch.keep_work)
    target = root / "code" / "current"
    if not target.exists():
        partial = Path(tempfile.mkdtemp(dir=root))
        fetch(launch.code, partial / "current")
        target.parent.mkdir(exist_ok=True)
        (partial / "current").rename(target)
        shutil.rmtree(partial)
    return Workspace(root, target, launch.keep_work)


def fetch(code: Code, target: Path) -> None:
    """Copy the code to `target`. Raises CodeSyncFailed."""
    if code.mode == "git":
        _clone(code, target)
    elif code.mode == "download":
        _download(code, target)
    elif code.mode == "package":
        # On a disk of this machine, or already the job's working directory (Ray's working_dir).
        source = Path(code.url) if Path(code.url).is_absolute() else Path.cwd()
        shutil.copytree(source, target, symlinks=True)
    else:
        _copy(code, target)


def _clone(code: Code, target: Path) -> None:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    if not code.verify_certificates:
        env["GIT_SSL_NO_VERIFY"] = "true"
    helper = None
    if code.username or code.password:
        # Credentials go through a helper that reads variables: never argv, never the URL.
        helper = _askpass()
        env |= {
            "GIT_ASKPASS": str(helper),
            "SUBMARINE_GIT_USER": code.username or "",
            "SUBMARINE_GIT_PASSWORD": code.password or "",
        }
    try:
        _git(["init", "--quiet", str(target)], env)
        _git(["-C", str(target), "remote", "add", "origin", "--", code.url], env)
        _git(["-C", str(target), "fetch", "--quiet", "--depth", "1", "origin", code.ref or "HEAD"], env)
        _git(["-C", str(target), "checkout", "--quiet", "FETCH_HEAD"], env)
    finally:
        if helper:
            helper.unlink()


def _askpass() -> Path:
    descriptor, name = tempfile.mkstemp(prefix="submarine-askpass-")
    with os.fdopen(descriptor, "w") as file:
        file.write(
            '#!/bin/sh\ncase "$1" in Username*) echo "$SUBMARINE_GIT_USER";; *) echo "$SUBMARINE_GIT_PASSWORD";; esac\n'
        )
    Path(name).chmod(stat.S_IRWXU)
    return Path(name)


def _git(arguments: list[str], env: dict[str, str]) -> None:
    try:
        subprocess.run(["git", *arguments], env=env, check=True, capture_output=True, text=True, timeout=GIT_SECONDS)
    except FileNotFoundError as failure:
        raise CodeSyncFailed(
            "git is not installed on the cluster, and code.syncMode git needs it", CODE_SYNC_STATUS
        ) from failure
    except subprocess.TimeoutExpired as failure:
        raise CodeSyncFailed(f"git did not end within {GIT_SECONDS} s", CODE_SYNC_STATUS) from failure
    except subprocess.CalledProcessError as failure:
        said = failure.stderr.strip().splitlines()
        raise CodeSyncFailed(
            f"git could not fetch the code: {said[-1] if said else failure}", CODE_SYNC_STATUS
        ) from failure


def _download(code: Code, target: Path) -> None:
    """An uploaded package from the control service; its token stays out of the URL."""
    import urllib.error
    import urllib.request

    headers = {"Authorization": f"Bearer {code.password}"} if code.password else {}
    target.mkdir(parents=True)
    archive = target.with_suffix(".zip")
    try:
        request = urllib.request.Request(code.url, headers=headers)
        with urllib.request.urlopen(request, timeout=DOWNLOAD_SECONDS) as answer, archive.open("wb") as file:
            shutil.copyfileobj(answer, file)
        unzip(archive, target)
    except (OSError, urllib.error.URLError, zipfile.BadZipFile) as failure:
        raise CodeSyncFailed(
            f"the code cannot be fetched from {code.url}: {failure}; do pods reach the service at its public URL?",
            CODE_SYNC_STATUS,
        ) from failure
    finally:
        archive.unlink(missing_ok=True)


def unzip(archive: Path, target: Path) -> None:
    """Unpack with the files' modes, which `zipfile` alone drops: scripts stay executable."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            extracted = Path(opened.extract(member, target))
            mode = member.external_attr >> 16
            if mode and not member.is_dir():
                extracted.chmod(mode & 0o777)


def _copy(code: Code, target: Path) -> None:
    """Anything that fsspec reads; an archive is unpacked."""
    import fsspec

    url = code.url if "://" in code.url else f"file://{Path(code.url).absolute()}"
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        if code.mode != "http" and filesystem.isdir(path):
            filesystem.get(path.rstrip("/") + "/", str(target) + "/", recursive=True)
            return
        target.mkdir(parents=True)
        name = path.rstrip("/").rsplit("/", 1)[-1].split("?")[0] or "code"
        filesystem.get_file(path, str(target / name))
        if name.endswith((".zip", ".tar.gz", ".tgz", ".tar")):
            options = {} if name.endswith(".zip") else {"filter": "data"}
            shutil.unpack_archive(target / name, target, **options)  # type: ignore[arg-type]
            (target / name).unlink()
    except ImportError as failure:
        raise CodeSyncFailed(
            f"reading {url} needs a package that the cluster lacks: {failure}", CODE_SYNC_STATUS
        ) from failure
    except (OSError, ValueError, shutil.ReadError) as failure:
        raise CodeSyncFailed(f"the code at {url} cannot be read: {failure}", CODE_SYNC_STATUS) from failure
