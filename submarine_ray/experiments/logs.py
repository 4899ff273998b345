"""One job log, many replicas: each line of replica `worker-1` is prefixed with `[worker-1] `.

A line that ends with a carriage return is not finished: a progress bar as it was at that moment. Who follows the log
sees each; what is kept has the last alone (runner/output.py writes them).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

from submarine_ray.spec.launch import UNFINISHED

# A trial of a sweep is one of its replicas: `trial-3fa2c_00004`, or its own, `trial-3fa2c_00004-worker-1`.
_REPLICA = r"(?:master|chief|worker|ps|evaluator)-\d{1,5}"
_PREFIX = re.compile(rf"\[({_REPLICA}|trial-\w{{1,40}}(?:-{_REPLICA})?|submarine)\] ?(.*)", re.DOTALL)
_FILE = re.compile(rf"(?:{_REPLICA}|trial-\w{{1,40}}(?:-{_REPLICA})?|submarine|ray)\.log")
PLATFORM = "submarine"
RAY = "ray"


def split_line(line: str) -> tuple[str, str]:
    """Who wrote a line, and the line as it was written: a replica, this platform's runner, or else Ray."""
    match = _PREFIX.match(line)
    return (match[1], match[2]) if match else (RAY, line)


def is_own(file: str) -> bool:
    """Whether the platform itself keeps a log under this name; scripts log artifacts beside them."""
    return bool(_FILE.fullmatch(file))


def is_passing(name: str, line: str) -> bool:
    """Whether the next line of the same replica takes this one's place. Ray's own lines are as they are."""
    return name != RAY and line.endswith(UNFINISHED)


def lines(text: str) -> list[str]:
    """The lines of a log, which newlines alone end."""
    found = text.split("\n")
    if found[-1] == "":
        found.pop()
    return found


def split(text: str, replicas: Iterable[str]) -> dict[str, list[str]]:
    """A job's log by who wrote it, in the order written; every replica is there, and the platform and Ray."""
    found: dict[str, list[str]] = {name: [] for name in (*replicas, PLATFORM, RAY)}
    for line in lines(text):
        replica, content = split_line(line)
        written = found.setdefault(replica, [])
        if written and is_passing(replica, written[-1]):
            written.pop()
        written.append(content)
    for replica, written in found.items():
        if written and is_passing(replica, written[-1]):
            written[-1] = written[-1].removesuffix(UNFINISHED)
    return found


async def whole_lines(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """The lines of a log that comes in pieces."""
    rest = ""
    async for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            yield line
    if rest:
        yield rest
