"""Following an experiment's log on the terminal, and what Ctrl-C means there."""

from __future__ import annotations

import re
import sys

from submarine_ray.client.errors import ExperimentFailed
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.spec.experiment import ExperimentStatus

DETACHED_STATUS = 130
# What Ray writes into every job's log, and what tells its reader nothing; other lines of Ray's may say what is wrong.
_RAYS_OWN = re.compile(r"Running entrypoint for job |.* -- Runtime env is setting up\.")


def follow(client: ExperimentClient, id: str, replica: str | None = None) -> None:
    """Print lines as they come, until the experiment ends."""
    for name, line in client.follow_log(id, replica):
        if replica is None and name == "ray" and _RAYS_OWN.match(line):
            continue
        sys.stdout.write(f"{line}\n" if replica else f"[{name}] {line}\n")
        sys.stdout.flush()


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
        sys.stderr.write(f"{id} {ExperimentStatus.seen(failure.experiment)}: {failure.experiment['message']}\n")
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
