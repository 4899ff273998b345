"""`python -m submarine_ray.runner.leave`: a pod's last act before Kubernetes takes it away (its preStop hook).

Tells what runs here to end, and waits for that: scripts get SIGTERM and their time of grace, and the attempt fails as
one that was lost. Kubernetes' own SIGTERM goes to the container's first process, which is Ray's, and that kills.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from pathlib import Path

from submarine_ray.runner import guard

RUNNER = (b"-m", b"submarine_ray.runner")
LOOK_SECONDS = 0.2


def main() -> None:
    """Return when nothing is left; Kubernetes waits no longer than the pod's terminationGracePeriodSeconds."""
    told = {pid: _started(pid) for pid in _here()}
    for pid in told:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    while any(started is not None and _started(pid) == started for pid, started in told.items()):
        time.sleep(LOOK_SECONDS)


def _here() -> list[int]:
    """Runners, and the guards of replicas whose runner may be in another pod."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_guard = (process / "comm").read_bytes().strip() == guard.NAME
            if is_guard or RUNNER in itertools.pairwise(words):
                found.append(int(process.name))
    return found


def _started(pid: int) -> bytes | None:
    """When a process was started, in the system's ticks; None if it has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if state in (b"Z", b"X") else rest[18]


if __name__ == "__main__":
    main()
