"""A single replica runs in the job's entrypoint itself: no actor, no `import ray`."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from types import FrameType

from submarine_ray.runner import code, environment, output, provenance
from submarine_ray.runner.environment import ReplicaLocation
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.network import free_port
from submarine_ray.runner.process import ENDED_STATUS, ReplicaProcess
from submarine_ray.spec.endings import Ending, describe
from submarine_ray.spec.launch import Launch


def run(launch: Launch) -> None:
    """Run the one replica to its end. Raises CommandFailed."""
    replica = launch.replicas[0]
    workspace = code.prepare(launch, replica.name)
    for sentence in workspace.told:
        sys.stdout.write(f"[submarine] {sentence}\n")
    env = environment.platform_variables(launch, 0, str(workspace.spool))
    env |= environment.rendezvous_variables(launch, 0, [ReplicaLocation("0", "127.0.0.1", free_port())])
    env |= workspace.variables() | replica.env

    ending = Ending()

    def sink(line: str) -> None:
        ending.hear((line,))
        with contextlib.suppress(OSError):  # the disk of the log is full: a script that nobody reads would stand still
            sys.stdout.write(output.prefixed(replica.name, (line,)))
            sys.stdout.flush()

    process = ReplicaProcess(replica, env, workspace.directory, sink, launch.grace_seconds, keeps=launch.keep_work)
    asked = end_on_sigterm(process)
    report = provenance.report(launch, workspace.directory)
    status = process.wait()
    if report:
        report.close()
    workspace.close()
    if asked.is_set():
        # Ray notes what it stops as stopped. Where somebody else asked, the attempt has not done its work: it is lost.
        how = process.overstayed or f"it was told to end (SIGTERM), and {describe(status)}"
        raise CommandFailed(f"{replica.name} failed: {how}", ENDED_STATUS)
    if status != 0:
        raise CommandFailed(f"{replica.name} failed: {ending.why(status)}", status if status > 0 else 1)


def end_on_sigterm(process: ReplicaProcess) -> threading.Event:
    """Pass on that the job is to end, once: the event tells whether it was."""
    asked = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    return asked
