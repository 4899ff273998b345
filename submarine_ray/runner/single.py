"""A single replica runs in the job's entrypoint itself: no actor, no `import ray`."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from types import FrameType

from submarine_ray.runner import code, environment
from submarine_ray.runner.environment import Place
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.process import ReplicaProcess, describe
from submarine_ray.spec.launch import Launch


def run(launch: Launch) -> None:
    """Run the one replica to its end. Raises CommandFailed."""
    replica = launch.replicas[0]
    workspace = code.prepare(launch, replica.name)
    env = environment.platform_variables(launch, 0, str(workspace.spool))
    if launch.framework in ("PyTorch", "XGBoost"):
        env |= environment.rendezvous_variables(launch, 0, [Place("0", "127.0.0.1", _free_port())])
    env |= workspace.variables() | replica.env

    def sink(line: str) -> None:
        sys.stdout.write(f"[{replica.name}] {line}\n")
        sys.stdout.flush()

    # In the job's own process group, so that Ray's stop reaches the script as well.
    process = ReplicaProcess(replica, env, workspace.directory, sink, own_group=False)

    def end(_number: int, _frame: FrameType | None) -> None:
        # On a thread: this one is inside `wait` below, which must go on to see the end and to send the last metrics.
        threading.Thread(target=process.terminate, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
    status = process.wait()
    workspace.close()
    if status != 0:
        raise CommandFailed(f"{replica.name} failed: it {describe(status)}", status if status > 0 else 1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
