"""One replica's process: its command, its variables, its lines."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from submarine_ray.client.spool import SPOOL_VARIABLE, Run, Shipper
from submarine_ray.runner.environment import python_path
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.kernel import KernelKills
from submarine_ray.spec import memory
from submarine_ray.spec.launch import Replica

KILL_SECONDS = 5.0
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # the latter is a shell's word for its child
_PR_SET_PDEATHSIG = 1
_REFERENCE = re.compile(r"\$(\$?)\(([A-Za-z_][A-Za-z0-9_]*)\)")

Sink = Callable[[str], None]


def argv(replica: Replica, env: Mapping[str, str]) -> list[str]:
    """The command as a process gets it: split as by a shell, no shell, `$(NAME)` replaced as Kubernetes does.

    `$$(NAME)` is `$(NAME)` as text.
    """
    if replica.shell:
        return ["/bin/sh", "-c", replica.command]
    try:
        parts = shlex.split(replica.command)
    except ValueError as failure:
        raise CommandFailed(f"the command cannot be split into words ({failure}): {replica.command}", 2) from failure
    return [_REFERENCE.sub(lambda m: m[0][1:] if m[1] else env.get(m[2], m[0]), part) for part in parts]


def _die_with_parent() -> None:
    """Linux ends the script when its runner is killed: a lost attempt must not go on beside its successor."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ReplicaProcess:
    """A running command; `sink` gets each of its lines, in order, stdout and stderr together as they were written.

    `on_end` is called, on a thread of this object, once the process has ended and its last line has gone to the sink.
    """

    def __init__(
        self,
        replica: Replica,
        env: Mapping[str, str],
        directory: Path,
        sink: Sink,
        own_group: bool,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._sink = sink
        self._on_end = on_end
        self._own_group = own_group
        whole = {**os.environ, **env}
        whole |= python_path(whole)
        command = argv(replica, whole)
        self._kills = KernelKills()
        try:
            self._process = subprocess.Popen(
                command,
                env=whole,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0 if own_group else None,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        except FileNotFoundError as failure:
            raise CommandFailed(f"there is no program {command[0]!r} in the cluster's PATH", 127) from failure
        except PermissionError as failure:
            raise CommandFailed(f"{command[0]!r} may not be executed", 126) from failure
        run = Run.from_env(env)
        spool = env.get(SPOOL_VARIABLE)
        self._shipper = Shipper(Path(spool), run, sink).start() if run and spool else None
        self._pump = threading.Thread(target=self._read, name="output", daemon=True)
        self._pump.start()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once every line has gone to the sink. Raises subprocess.TimeoutExpired."""
        status = self._process.wait(timeout)
        # A grandchild that holds the pipe open must not hold up the replica's end.
        self._pump.join(timeout=5)
        if self._shipper:
            self._shipper.close()
        return memory.OOM_KILLED if status in _KILLED and self._kills.have_come() else status

    def poll(self) -> int | None:
        return self._process.poll()

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL if that is not heeded."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._own_group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (Popen was given a pipe)
        for line in self._process.stdout:
            self._sink(line.decode(errors="replace").rstrip("\n"))
        self._process.wait()
        self._on_end()
