"""Following an experiment's log on the terminal, and what Ctrl-C means there."""

from __future__ import annotations

import re
import sys
from typing import TextIO

from submarine_ray.client.errors import ExperimentFailed
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.launch import UNFINISHED

DETACHED_STATUS = 130
# What Ray writes into every job's log, and what tells its reader nothing; other lines of Ray's may say what is wrong.
_RAYS_OWN = re.compile(r"Running entrypoint for job |.* -- Runtime env is setting up\.")


def follow(client: ExperimentClient, id: str, replica: str | None = None, tail: int | None = None) -> None:
    """Print lines as they come, until the experiment ends."""
    paper = Paper(sys.stdout)
    for name, line in client.follow_log(id, replica, tail):
        if replica is None and name == "ray" and _RAYS_OWN.match(line):
            continue
        paper.write(name, line if replica else f"[{name}] {line}")
    paper.close()


class Paper:
    """Lines, and below them a line that is not finished, such as a progress bar: drawn over as it changes."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._drawn = ""

    def write(self, name: str, line: str) -> None:
        """`line` of `name`; one that ends with a carriage return is not finished."""
        is_unfinished = name != "ray" and line.endswith(UNFINISHED)
        text = line.removesuffix(UNFINISHED) if is_unfinished else line
        over = f"\r{' ' * len(self._drawn)}\r" if self._drawn else ""
        self._file.write(f"{over}{text}" if is_unfinished else f"{over}{text}\n")
        self._file.flush()
        self._drawn = text if is_unfinished else ""

    def close(self) -> None:
        """What is drawn stays: nothing will take its place."""
        if self._drawn:
            self._file.write("\n")


def follow_to_outcome(client: ExperimentClient, id: str) -> int:
    """Follow to the end; 0 if it succeeded, else 1. Ctrl-C asks whether to stop the experiment or to detach."""
    try:
        follow(client, id)
        return outcome(client, id)
    except KeyboardInterrupt:
        return _interrupted(client, id)


def outcome(client: ExperimentClient, id: str) -> int:
    try:
        client.wait_for_finish(id)
    except ExperimentFailed as failure:
        sys.stderr.write(f"{id} {ExperimentStatus.seen_of(failure.experiment)}: {failure.experiment['message']}\n")
        return 1
    sys.stderr.write(f"{id} {ExperimentStatus.SUCCEEDED}\n")
    return 0


def _interrupted(client: ExperimentClient, id: str) -> int:
    sys.stderr.write(f"\nStop {id}? [y] stops it, [N] leaves it running: ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline().strip().lower() if sys.stdin.isatty() else ""
    except KeyboardInterrupt:
        answer = ""
    if answer in ("y", "yes"):
        client.stop_experiment(id)
        sys.stderr.write(f"Stopping {id}.\n")
        return 1
    sys.stderr.write(f"\nDetached; `submarine logs -f {id}` follows it again.\n")
    return DETACHED_STATUS
