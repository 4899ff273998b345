"""A single replica runs in the job's entrypoint itself: no actor, no `import ray`."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from submarine_ray.runner import code, environment
from submarine_ray.runner.environment import Place
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.network import free_port
from submarine_ray.runner.process import ReplicaProcess
from submarine_ray.spec.endings import Ending
from submarine_ray.spec.launch import Launch


def run(launch: Launch) -> None:
    """Run the one replica to its end. Raises CommandFailed."""
    replica = launch.replicas[0]
    workspace = code.prepare(launch, replica.name)
    for sentence in workspace.told:
        sys.stdout.write(f"[submarine] {sentence}\n")
    env = environment.platform_variables(launch, 0, str(workspace.spool))
    env |= environment.rendezvous_variables(launch, 0, [Place("0", "127.0.0.1", free_port())])
    env |= workspace.variables() | replica.env

    ending = Ending()

    def sink(line: str) -> None:
        ending.hear((line,))
        sys.stdout.write(f"[{replica.name}] {line}\n")
        sys.stdout.flush()

    # In the job's own process group, so that Ray's stop reaches the script as well.
    process = ReplicaProcess(replica, env, workspace.directory, sink, own_group=False)

    end_on_sigterm(process)
    status = process.wait()
    workspace.close()
    if status != 0:
        raise CommandFailed(f"{replica.name} failed: {ending.why(status)}", status if status > 0 else 1)


def end_on_sigterm(process: ReplicaProcess) -> None:
    """Pass Ray's stop on."""

    def end(_number: int, _frame: FrameType | None) -> None:
        # On a thread: the main one is waiting for the process, and must go on to see its end and send the last metrics.
        threading.Thread(target=process.terminate, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
