"""Processes that `submarine up` starts: remembered by pid and start time, so that a reused pid is never mistaken."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from submarine_ray.runner.network import node_ip
from submarine_ray.spec import private

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Started:
    """A process of ours: `created` is its start time in seconds since 1970, as the system tells it."""

    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The live process, or None when it has ended (or its pid is somebody else's now)."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.created) < 1.0
        except psutil.Error:
            return None
        return process if alive else None


def beside_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """`no_proxy` with this machine in it: what the platform and its jobs say to one another goes to no proxy."""
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return {}
    given = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    left_out = [*(one.strip() for one in given.split(",") if one.strip()), "localhost", "127.0.0.1", node_ip()]
    wanted = ",".join(dict.fromkeys(left_out))
    return {"no_proxy": wanted, "NO_PROXY": wanted}


def start(command: Sequence[str], env: Mapping[str, str], log: Path) -> Started:
    """Start a process that outlives this one, its output appended to `log`; what it makes is this user's alone."""
    with private.file(log).open("ab") as output:
        process = subprocess.Popen(
            list(command), env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, umask=private.PRIVATE_UMASK,
        )  # fmt: skip
    return Started(process.pid, psutil.Process(process.pid).create_time())


def stop(started: Started, patience: float) -> None:
    """SIGTERM, and SIGKILL to what is left of its tree after `patience` seconds."""
    process = started.process()
    if process is None:
        return
    tree = [process, *_children(process)]
    process.terminate()
    _reap(process, patience)
    kill(child for child in tree if child.is_running())


def kill(processes: object) -> None:
    """SIGKILL each, and wait until they are gone."""
    victims = list(processes)  # type: ignore[call-overload]
    for process in victims:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(victims, timeout=5)


def marked(variable: str, value: str) -> list[psutil.Process]:
    """All processes of this user whose environment holds `variable=value`, except this one and its parents."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in mine and process.environ().get(variable) == value:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def writing_below(directory: Path, title: str) -> list[psutil.Process]:
    """All processes of this user whose command line begins with `title` and that have a file open below `directory`.

    Ray's processes rename themselves, which overwrites a part of what others can read of their environment.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if "".join(process.cmdline()[:1]).startswith(title) and any(
                Path(file.path).is_relative_to(directory) for file in process.open_files()
            ):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def size(path: Path) -> int:
    """How long a log is so far, in bytes."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, since: int = 0, lines: int = 30) -> str:
    """The last lines of a log, for an error message; of what came after the first `since` bytes."""
    try:
        with path.open("rb") as file:
            file.seek(max(since, size(path) - 64_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def save(path: Path, started: Started, **details: object) -> None:
    """Remember a process and what else is worth knowing of it; the file is whole or absent, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps({**asdict(started), "startedAt": time.time(), **details}, indent=1))
    partial.replace(path)


def load(path: Path) -> tuple[Started, dict[str, object]] | None:
    """What `save` wrote, or None."""
    try:
        document = json.loads(path.read_text())
        return Started(document["pid"], document["created"]), document
    except (OSError, ValueError, KeyError):
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _reap(process: psutil.Process, patience: float) -> None:
    try:
        process.wait(patience)
    except psutil.TimeoutExpired:
        return
