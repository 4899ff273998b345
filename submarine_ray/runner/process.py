"""One replica's process: its command, its variables, its lines."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from submarine_ray.client.shipper import Shipper
from submarine_ray.client.spool import SPOOL_VARIABLE, Run, Spool
from submarine_ray.runner import output
from submarine_ray.runner.environment import python_path
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.kernel import KernelKills
from submarine_ray.runner.system_metrics import Sampler
from submarine_ray.spec import memory
from submarine_ray.spec.launch import GRACE_SECONDS, Replica

# How long lines are waited for after the end of the processes: a service that was left on purpose holds the pipe open.
LAST_LINES_SECONDS = 1.0
# And how long a slow sink is waited for, which still has to take lines that were written before that end.
SLOW_SINK_SECONDS = 60.0
# What is logged may be sent for so long beyond the time of grace; a gang waits little longer (gang.END_SECONDS).
LAST_METRICS_SECONDS = 3.0
ENDED_STATUS = 128 + signal.SIGTERM  # as shells number it
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # the latter is a shell's word for its child
_REFERENCE = re.compile(r"\$(\$?)\(([A-Za-z_][A-Za-z0-9_]*)\)")

Sink = Callable[[str], None]


def argv(replica: Replica, env: Mapping[str, str]) -> list[str]:
    """The command as a process gets it: split as by a shell, no shell, `$(NAME)` replaced as Kubernetes does.

    `$$(NAME)` is `$(NAME)` as text. Raises CommandFailed.
    """
    if replica.shell:
        return ["/bin/sh", "-c", replica.command]
    from submarine_ray.spec.without_shell import joined

    try:
        parts = shlex.split(joined(replica.command))
    except ValueError as failure:
        raise CommandFailed(f"the command cannot be split into words ({failure}): {replica.command}", 2) from failure
    if not parts:
        raise CommandFailed("the command is empty", 2)
    return [_REFERENCE.sub(lambda m: m[0][1:] if m[1] else env.get(m[2], m[0]), part) for part in parts]


class ReplicaProcess:
    """A running command and all that it starts; `sink` gets each of its lines, in order, stdout and stderr together as
    they were written. The process has ended when nothing is left of its tree (runner/guard.py).

    `grace` is how many seconds its processes have between SIGTERM and SIGKILL. It has ended once what it logged is
    stored, too, or is not taken any more (client/shipper.py); `keeps` says that its spool outlives this process. Then
    `on_end` is called, on a thread of this object.
    """

    def __init__(
        self,
        replica: Replica,
        env: Mapping[str, str],
        directory: Path,
        sink: Sink,
        grace: float = GRACE_SECONDS,
        on_end: Callable[[], None] = lambda: None,
        keeps: bool = False,
    ) -> None:
        self._sink = sink
        self._name = replica.name
        self._grace = grace
        self._on_end = on_end
        self.overstayed = ""  # that its time of grace was not enough, in words
        self._ended = threading.Event()
        self._ordering = threading.RLock()  # a signal may come while its own thread holds it
        self._status = 1
        whole = {**os.environ, **env}
        whole |= python_path(whole)
        self._kills = KernelKills()
        self._start(argv(replica, whole), whole, directory)
        run = Run.from_env(env)
        spool = env.get(SPOOL_VARIABLE)
        self._shipper = Shipper(Path(spool), run, sink, keeps).start() if run and spool else None
        self._sampler = self._sampling(Path(spool), whole, directory) if run and spool else None
        self._pump = output.Pump(self._output.fileno(), self._hand_on)
        self._pumping = threading.Thread(target=self._read, name="output", daemon=True)
        self._pumping.start()
        threading.Thread(target=self._follow, name="guard", daemon=True).start()

    def wait(self, timeout: float | None = None) -> int:
        """The command's exit status, once every line has gone to the sink, and every metric. Raises TimeoutError."""
        if not self._ended.wait(timeout):
            raise TimeoutError
        return self._status

    def poll(self) -> int | None:
        return self._status if self._ended.is_set() else None

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL to what has not ended after the time of grace. Returns at once."""
        if self._shipper:
            self._shipper.hurry(self._grace + LAST_METRICS_SECONDS)
        with self._ordering, contextlib.suppress(OSError):  # it has ended
            if self._orders >= 0:  # else the number may be another file's by now
                os.write(self._orders, f"{self._grace}\n".encode())

    def _start(self, command: list[str], env: Mapping[str, str], directory: Path) -> None:
        """Raises CommandFailed."""
        reports, tell = os.pipe()
        obey, self._orders = os.pipe()
        try:
            guarded = subprocess.Popen(
                [*_guard(), str(tell), str(obey), str(self._grace), *command],
                env=env,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(tell, obey),
            )
        except OSError as failure:
            os.close(reports)
            os.close(self._orders)
            raise _unstartable(failure.errno or 0, command, env, directory) from failure
        finally:
            os.close(tell)
            os.close(obey)
        guarded.wait()  # at once: it goes on in a process that is nobody's child
        assert guarded.stdout is not None  # noqa: S101 (a pipe was asked for)
        self._output = guarded.stdout
        self._reports: IO[str] = os.fdopen(reports)
        kind, _, number = self._reports.readline().strip().partition(" ")
        if kind != "pid":
            self._reports.close()
            self._output.close()
            os.close(self._orders)
            raise _unstartable(int(number or 0), command, env, directory)
        self.pid = int(number)

    def _sampling(self, path: Path, env: Mapping[str, str], directory: Path) -> Sampler:
        """What the replica and its machine do goes the way of its own metrics."""

        def log(key: str, value: float, step: int) -> None:
            spool = Spool(path)
            try:
                spool.metric(key, value, step)
            finally:
                spool.close()

        return Sampler(self.pid, env, str(directory), log, self._sink).start()

    def _follow(self) -> None:
        """What the guard tells, until all processes have ended."""
        self._status = -signal.SIGKILL  # unless the guard lives to tell
        told = False
        for line in self._reports:
            kind, _, rest = line.strip().partition(" ")
            if kind == "ended":
                # What was told to end from outside has not done its work, however well it ended.
                self._status = int(rest) or (ENDED_STATUS if told else 0)
            elif kind == "told":
                told = True
            elif kind == "late":
                self.overstayed = f"it did not end within {rest} s of SIGTERM (gracePeriod), and was killed"
                self._sink(f"[submarine] {self._name}: {self.overstayed}")
            elif kind == "left":
                self._sink(f"[submarine] {self._name} has ended and left processes behind ({rest}); they are ended too")
        self._reports.close()
        with self._ordering:
            os.close(self._orders)
            self._orders = -1
        self._hear_the_last()
        if self._status in _KILLED and self._kills.have_come():
            self._status = memory.OOM_KILLED
        if self._sampler:
            self._sampler.stop()
        if self._shipper:
            self._shipper.close()
        self._ended.set()
        self._on_end()

    def _read(self) -> None:
        with self._output:
            self._pump.run()

    def _hear_the_last(self) -> None:
        """Wait until the sink has all that was written before the end."""
        until = time.monotonic() + SLOW_SINK_SECONDS
        self._pumping.join(LAST_LINES_SECONDS)
        while self._pumping.is_alive() and self._pump.is_behind() and time.monotonic() < until:
            self._pumping.join(0.1)

    def _hand_on(self, lines: list[str]) -> None:
        for line in lines:
            self._sink(line)


def _unstartable(number: int, command: list[str], env: Mapping[str, str], directory: Path) -> CommandFailed:
    from submarine_ray.runner.unstartable import unstartable  # late: what starts does not pay for it

    return unstartable(number, command, env, directory)


def _guard() -> list[str]:
    """The program that holds the processes; its source where the runner lies in a zip."""
    found = importlib.util.find_spec("submarine_ray.runner.guard")  # not imported: it is another process's
    assert found is not None and found.origin is not None  # noqa: S101 (it lies beside this module)
    if Path(found.origin).exists():
        return [sys.executable, "-I", "-S", found.origin]
    source = found.loader.get_source(found.name)  # type: ignore[union-attr]
    return [sys.executable, "-I", "-S", "-c", str(source)]
