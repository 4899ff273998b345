"""Holds a replica's processes: passes on its end, and ends with it whatever it has started and left behind.

The runner starts this file as a program of its own, `python -I -S guard.py REPORTS ORDERS GRACE COMMAND...`, so it
needs nothing but the standard library. REPORTS and ORDERS are the numbers of two pipes. It reports, a line each,

    pid N       the command has started, as process N; or else
    errno N     it cannot be started
    told        SIGTERM has come to this process itself: the command is to end, and nobody here has ordered it
    left NAMES  processes that the command left behind, and that are ended now
    late N      the command has not ended N seconds after SIGTERM, and is killed
    ended N     the command's own exit status, -N for signal N; the reports end when all its processes have

An order is a number of seconds, `30`: the time the processes have to end, after which they are killed. When the pipe of
the orders ends, the runner has died, and everything is killed at once.

It leaves the runner's tree of processes at its start, because Ray's stop would signal every process in that tree: a
script that saves its checkpoint at SIGTERM would find its data loaders dead. docs/decisions/0017-one-guard-a-replica.md
"""

# ruff: noqa: PTH123, PTH208 (pathlib would double the time that this takes to start)

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

SERVICE_MARK = b"SUBMARINE_SERVICE=1"  # in the environment of what is meant to outlive its replica
SETTLE_SECONDS = 0.2  # what ends by itself with the command, such as Python's resource tracker, is not left behind
LOOK_SECONDS = 0.1
UNKILLABLE_SECONDS = 10.0
NAME = b"submarine-guard"  # 15 bytes are all that a process' name can have
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36


def _prctl(option: int, value: int | bytes) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Guard:
    """`grace`: the seconds that processes which outlive the command have to end."""

    def __init__(self, reports: int, orders: int, grace: float) -> None:
        self._reports = reports
        self._orders = orders
        self._grace = grace
        self._command = 0
        self._status: int | None = None
        self._ended_at = 0.0
        self._kill_at: float | None = None
        self._given = 0.0  # the seconds of the order that counts; 0 too when it was told of
        self._asked: set[int] = set()
        self._services: list[int] = []  # as they were last seen
        self._is_childless = False

    def run(self, command: list[str]) -> None:
        """Start the command, and stay until none of its processes is left."""
        woken = self._wake_at_signals()
        if not self._start(command):
            return
        waiting = select.poll()  # which takes numbers above 1023, too
        for pipe in (self._orders, woken):
            waiting.register(pipe, select.POLLIN)
        while not self._is_over():
            ready = {pipe for pipe, _ in waiting.poll(self._patience())}
            if woken in ready:
                os.read(woken, 4096)
            if self._orders in ready:
                self._obey(os.read(self._orders, 64))
            self._reap()
            self._end()
        self._report(f"ended {self._status}")

    def _wake_at_signals(self) -> int:
        """A pipe that can be read after a signal. SIGTERM is as an order."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._be_told())
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        return reading

    def _start(self, command: list[str]) -> bool:
        failure, fails = os.pipe()
        self._command = os.fork()
        if self._command == 0:
            self._become(command, fails)
        os.close(fails)
        said = os.read(failure, 16)
        os.close(failure)
        self._report(f"errno {said.decode()}" if said else f"pid {self._command}")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):  # the end of the output is the end of those who write it
            os.dup2(nowhere, stream)
        return not said

    def _become(self, command: list[str], fails: int) -> None:
        try:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for number in range(1, signal.NSIG):  # what the runner, or who started it, ignores reaches no script
                with contextlib.suppress(OSError, ValueError):  # SIGKILL, SIGSTOP and those of the C library
                    signal.signal(number, signal.SIG_DFL)
            os.execvpe(command[0], command, os.environ)  # noqa: S606 (the user's command, and no shell)
        except OSError as error:
            os.write(fails, str(error.errno).encode())
        finally:
            os._exit(127)

    def _be_told(self) -> None:
        self._report("told")
        self._obey(str(self._grace).encode())

    def _obey(self, order: bytes) -> None:
        """An order, or the end of the orders."""
        seconds = float(order.split()[0]) if order else 0.0
        until = time.monotonic() + seconds
        if self._kill_at is None or until < self._kill_at:
            self._kill_at, self._given = until, seconds
        if order and self._status is None and self._command not in self._asked:
            self._signal(self._command, signal.SIGTERM)  # its own processes are its own to end, or ours after it

    def _reap(self) -> None:
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._command:
                    self._status = os.waitstatus_to_exitcode(found[1])
                    self._ended_at = time.monotonic()
        except ChildProcessError:
            self._is_childless = True

    def _end(self) -> None:
        """Ask what has outlived the command to end, and kill all when the time is up."""
        now = time.monotonic()
        if self._status is not None and now >= self._ended_at + SETTLE_SECONDS:
            new = [pid for pid in self._left() if pid not in self._asked]
            if new:
                if self._kill_at is None:
                    self._kill_at = now + self._grace
                    self._report(f"left {' '.join(sorted({_name(pid) for pid in new}))}")
                for pid in new:
                    self._signal(pid, signal.SIGTERM)
        if self._kill_at is not None and now >= self._kill_at:
            if self._given and self._status is None:
                self._report(f"late {self._given:g}")
                self._given = 0.0
            self._kill()

    def _kill(self) -> None:
        """Groups first: a process that forks faster than /proc is read leaves none of its group behind."""
        left = {*self._left(), *self._group_left(), *([self._command] if self._status is None else [])}
        spared = {os.getpgrp(), *map(_group, self._services)}
        for group in {_group(pid) for pid in left if pid > 0} - spared:
            self._signal(-group, signal.SIGKILL)
        for pid in left:
            self._signal(pid, signal.SIGKILL)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        self._asked.add(pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a stopped process would not hear it

    def _left(self) -> list[int]:
        """Living processes that come from the command, but for services; -N for its group N where none can be seen:
        there is no /proc, or they fork faster than it is read.
        """
        if self._is_childless:  # whoever lost its parent would be our child: nobody is left, and /proc need not be read
            self._services = []
            return self._group_left()
        children: dict[int, list[int]] = {}
        with contextlib.suppress(OSError):
            for name in os.listdir("/proc"):
                if name.isdigit() and (parent := _parent(name)) is not None:
                    children.setdefault(parent, []).append(int(name))
        found, todo = [], [os.getpid()]
        while todo:
            below = children.get(todo.pop(), [])
            found += below
            todo += below
        self._services = [pid for pid in found if pid != self._command and _is_service(pid)]
        return [pid for pid in found if pid not in self._services] or self._group_left()

    def _group_left(self) -> list[int]:
        if self._command in map(_group, self._services):
            return []
        self._reap()  # who has ended is in its group until then
        try:
            if os.getsid(self._command) != os.getsid(0):
                return []  # the number has gone to somebody else
        except ProcessLookupError:
            pass  # the leader of the group has ended, and its number is kept while the group has members
        try:
            os.killpg(self._command, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [-self._command]

    def _is_over(self) -> bool:
        if self._status is None:
            return False
        if self._kill_at is not None and time.monotonic() > self._kill_at + UNKILLABLE_SECONDS:
            return True  # a process that waits for a dead disk cannot be killed
        return not self._left()

    def _patience(self) -> float | None:
        """How long to wait for the next signal or order, in milliseconds; None: until it comes."""
        return None if self._status is None and self._kill_at is None else LOOK_SECONDS * 1000

    def _report(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the runner has died
            os.write(self._reports, f"{line}\n".encode())


def _parent(pid: str) -> int | None:
    """The parent of a process; None if that has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent, *_ = file.read().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in (b"Z", b"X") else int(parent)


def _group(pid: int) -> int:
    """The process group of a process; our own if it has ended."""
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return os.getpgrp()


def _is_service(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return SERVICE_MARK in file.read().split(b"\0")
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip().replace(" ", "_")
    except (OSError, ValueError):
        return "unknown" if pid < 0 else str(pid)


def main(arguments: list[str]) -> None:
    """Run as the module says."""
    reports, orders = int(arguments[0]), int(arguments[1])
    for pipe in (reports, orders):
        os.set_inheritable(pipe, False)
    if os.fork():
        os._exit(0)
    os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_NAME, NAME)
    Guard(reports, orders, float(arguments[2])).run(arguments[3:])


if __name__ == "__main__":
    main(sys.argv[1:])
