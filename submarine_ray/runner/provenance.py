"""Tells the control service which packages and which commit an attempt runs with.

A thread does it while the command starts. Only names of directories and one small file are read: that costs
milliseconds, where `importlib.metadata` would cost a tenth of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from submarine_ray.client.spool import Run, TrackingRefused
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.launch import Launch

PATIENCE_SECONDS = 60.0  # for a service that is restarting
PAUSE_SECONDS = 1.0
LAST_SECONDS = 3.0  # after the end of what it is about
_MOUNT = "/mlflow"  # where our service has MLflow; any other server has nobody to tell
_INSTALLED = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+?)(?:-py[0-9.]+(?:-.+)?)?\.(?:dist|egg)-info")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


class Report:
    """Reports to the service from its own thread; `close` waits a little for it."""

    def __init__(self, run: Run, submission: str, directory: Path) -> None:
        self._run = run
        self._submission = submission
        self._directory = directory
        self._until = time.monotonic() + PATIENCE_SECONDS
        self._thread = threading.Thread(target=self._work, name="provenance", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait at most LAST_SECONDS more."""
        self._until = min(self._until, time.monotonic() + LAST_SECONDS)
        self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        from submarine_ray.client.mlflow_rest import MlflowRest  # late: an HTTP client, beside the command's start

        rest = MlflowRest(self._run)
        if not rest.prefix.endswith(_MOUNT):
            return
        experiment = f"{rest.prefix.removesuffix(_MOUNT)}/api/v1/experiment/{self._run.experiment_id}"
        body = json.dumps(found(self._directory))
        while time.monotonic() < self._until:
            try:
                rest.call("POST", f"{experiment}/provenance?submission={self._submission}", body)
            except OSError:
                time.sleep(PAUSE_SECONDS)
            except TrackingRefused:  # a service without this path, or an attempt that another has followed
                return
            else:
                return


def report(launch: Launch, directory: Path) -> Report | None:
    """Begin to report what an attempt runs with; None without a service to report to. `directory` has its code."""
    tracking = launch.tracking
    if tracking is None or launch.trial_id or not launch.service_url:
        return None
    run = Run(tracking.uri, tracking.run_id, tracking.experiment_id, launch.experiment_id, "", True, tracking.token)
    return Report(run, launch.submission_id, directory)


def found(directory: Path) -> JsonObject:
    """A `spec.provenance.ProvenanceReport`."""
    told: JsonObject = {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.release()}-{platform.machine()}"[:128],
        "packages": dict(packages(sys.path)),
    }
    if commit := checked_out(directory):
        told["commit"] = commit
    return told


def packages(path: Sequence[str]) -> dict[str, str]:
    """The installed packages, by the names of their `.dist-info` directories; the first on the path is the one that
    Python imports.
    """
    versions: dict[str, str] = {}
    for place in path:
        with contextlib.suppress(OSError), os.scandir(place or ".") as entries:
            for name in sorted(entry.name for entry in entries):
                if installed := _INSTALLED.fullmatch(name):
                    versions.setdefault(installed["name"].replace("_", "-").lower(), installed["version"])
    return dict(sorted(versions.items()))


def checked_out(directory: Path) -> str | None:
    """The commit that a clone has checked out; None of what is no clone. Reads files alone: Git would be a process."""
    git = directory / ".git"
    try:
        head = (git / "HEAD").read_text().strip()
        if head.startswith("ref: "):
            head = _reference(git, head.removeprefix("ref: "))
    except (OSError, UnicodeDecodeError):
        return None
    return head if _COMMIT.fullmatch(head) else None


def _reference(git: Path, name: str) -> str:
    """What a branch points at. Raises OSError, UnicodeDecodeError."""
    if ".." in name:
        return ""
    with contextlib.suppress(FileNotFoundError):
        return (git / name).read_text().strip()
    for line in (git / "packed-refs").read_text().splitlines():
        commit, _, branch = line.partition(" ")
        if branch == name:
            return commit
    return ""
