"""The format of a job's log, in which each line of replica `worker-1` is prefixed with its name, and with the time at
which it was written: `[worker-1 2026-11-28T02:11:07.12Z] ` (runner/stamps.py; an older runner gives no time).

A line that ends with a carriage return is not finished: a progress bar as it was at that moment. Who follows the log
sees each; what is kept has the last alone (runner/output.py writes them).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from submarine_ray.spec.launch import UNFINISHED

# A trial of a sweep is one of its replicas: `trial-3fa2c_00004`, or its own, `trial-3fa2c_00004-worker-1`.
_REPLICA = r"(?:master|chief|worker|ps|evaluator)-\d{1,5}"
_NAME = rf"{_REPLICA}|trial-\w{{1,40}}(?:-{_REPLICA})?|submarine"
_STAMP = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d\d)Z"
_PREFIX = re.compile(rf"\[({_NAME})(?: {_STAMP})?\] ?".encode())
ORDER = "order.txt"  # beside the replicas' files: in which order their lines were written, and when (order.py)
_FILE = re.compile(rf"(?:{_NAME}|ray)\.log|{re.escape(ORDER)}", re.ASCII)
DIRECTORY = "logs"  # of a run's artifacts
PLATFORM = "submarine"
RAY = "ray"
# The runner writes none that is longer (runner/output.py); what something else wrote is cut there.
LONGEST_LINE = 1024**2
_UNFINISHED = UNFINISHED.encode()


class Line(NamedTuple):
    """A line of a job's log: who wrote it (a replica, this platform's runner, or else Ray), when, in milliseconds since
    1970 (0: not known), and the text as it was written.
    """

    name: str
    time: int
    content: bytes


def who(line: bytes) -> Line:
    """The line without its prefix."""
    match = _PREFIX.match(line) if line.startswith(b"[") else None
    if match is None:
        return Line(RAY, 0, line)
    second = _second(match[2]) if match[2] else 0
    return Line(match[1].decode(), second + int(match[3]) * 10 if second else 0, line[match.end() :])


@lru_cache(256)
def _second(stamp: bytes) -> int:
    try:
        return int(datetime.fromisoformat(f"{stamp.decode()}+00:00").timestamp()) * 1000
    except ValueError:  # a script may print what looks like a prefix
        return 0


def is_own(file: str) -> bool:
    """Whether the platform itself stores a log under this name; scripts log artifacts beside them."""
    return bool(_FILE.fullmatch(file))


def is_of(replica: str | None, name: str) -> bool:
    """Whether the lines of `name` are asked for: all, a replica's, or those of a trial and of its replicas."""
    return replica in (None, name) or name.startswith(f"{replica}-")


def is_passing(name: str, line: bytes) -> bool:
    """Whether the next line of the same replica replaces this one, as in a progress bar. Ray's own lines never do."""
    return name != RAY and line.endswith(_UNFINISHED)


def finished(line: bytes) -> bytes:
    """The text that is kept of a line that nothing has replaced."""
    return line.removesuffix(_UNFINISHED)


def text(line: bytes) -> str:
    return line.decode(errors="replace")


def ordered(names: Iterable[str]) -> list[str]:
    """Replicas in the order of their names, then the platform and Ray."""
    found = set(names)
    last = [name for name in (PLATFORM, RAY) if name in found]
    return [*sorted(found - {*last}), *last]


def cut(rest: bytes, piece: bytes) -> tuple[list[bytes], bytes]:
    """The lines that `piece` completes after `rest`, and the new rest; no line is longer than LONGEST_LINE."""
    *whole, rest = (rest + piece).split(b"\n")
    if len(rest) > LONGEST_LINE:
        whole.append(rest)
        rest = b""
    return whole, rest


async def whole_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The lines of a log that comes in pieces, those of a piece together."""
    rest = b""
    async for piece in pieces:
        whole, rest = cut(rest, piece)
        if whole:
            yield whole
    if rest:
        yield [rest]
