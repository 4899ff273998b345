"""Why a process ended, in words: its exit status, and what it wrote last. Plain Python, for both sides."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Iterable, Sequence

from submarine_ray.spec import memory

KEPT_LINES = 300
KEPT_LENGTH = 4096  # of each: a gang's driver keeps the last lines of all its replicas
# How far from the end an exception may be told of: what came after it tells more if there is much of it.
NEAR_LINES = 40
CAUSE_LENGTH = 500

_HEADER = "Traceback (most recent call last):"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MARGIN = re.compile(r"^ *[|+] ")  # of an exception group's parts
# What shells, `env` and `timeout` mean by them; above 128 a shell tells of a signal.
_STATUSES = {
    124: "its own time limit, as `timeout` has it",
    126: "a program was found and could not be executed",
    127: "a program was not found",
}
_SIGNALS = {
    signal.SIGKILL: "out of memory, or killed by somebody",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGABRT: "a crash in native code, or an assertion of it",
    signal.SIGBUS: "shared memory that ran out, perhaps: /dev/shm",
    signal.SIGFPE: "a division by zero in native code",
    signal.SIGILL: "an instruction that this machine's processor does not have",
    signal.SIGTERM: "asked to end",
    signal.SIGINT: "interrupted",
}


def describe(status: int) -> str:
    """An exit status other than 0 in words: `exited with status 3`. Below 0, it is the signal that killed it."""
    if status == memory.OOM_KILLED:
        return memory.of_kernel()
    if status < 0:
        name, meaning = _signal(-status)
        return f"was killed by {name}{f' ({meaning})' if meaning else ''}"
    meaning = _STATUSES.get(status, "")
    if not meaning and status - 128 in set(signal.Signals):
        name, meaning = _signal(status - 128)
        meaning = f"{name}: {meaning}" if meaning else name
    return f"exited with status {status}{f' ({meaning})' if meaning else ''}"


def _signal(number: int) -> tuple[str, str]:
    if number not in set(signal.Signals):
        return f"signal {number}", ""
    found = signal.Signals(number)
    return found.name, _SIGNALS.get(found, "")


def raised(lines: Sequence[str]) -> str | None:
    """The exception that a program's last lines tell of: the last line of the last traceback."""
    lines = [_MARGIN.sub("", _ESCAPES.sub("", line)).rstrip() for line in lines]
    header = max((at for at, line in enumerate(lines) if line.endswith(_HEADER)), default=None)
    if header is None:
        return None
    for at in range(header + 1, len(lines)):
        if lines[at] and not lines[at][0].isspace():
            return lines[at][:CAUSE_LENGTH] if len(lines) - at <= NEAR_LINES else None
    return None


class Ending:
    """What a process has written last."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)

    def hear(self, lines: Iterable[str]) -> None:
        self._lines.extend(line[:KEPT_LENGTH] for line in lines)

    def why(self, status: int) -> str:
        """Why it ended so, in words that follow on `failed: `; the exception first, where it was one."""
        lines = [line for line in self._lines if not line.startswith("[submarine] ")]
        said = f"it {describe(status)}"
        if status == memory.OOM_KILLED:
            return said
        if exception := raised(lines):
            return f"{exception} ({said})"
        last = next((text for line in reversed(lines) if (text := _ESCAPES.sub("", line).strip())), "")
        # A signal cuts the output anywhere: what came last says nothing of it.
        return f"{said}; its last line: {last[:CAUSE_LENGTH]}" if last and 0 < status < 128 else said
