"""One job log, many replicas: each line of replica `worker-1` is prefixed with `[worker-1] `."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A trial of a sweep is one of its replicas: `trial-3fa2c_00004`, or its own, `trial-3fa2c_00004-worker-1`.
_REPLICA = r"(?:master|chief|worker|ps|evaluator)-\d{1,5}"
_PREFIX = re.compile(rf"\[({_REPLICA}|trial-\w{{1,40}}(?:-{_REPLICA})?|submarine)\] ?(.*)", re.DOTALL)
PLATFORM = "submarine"
RAY = "ray"


def split_line(line: str) -> tuple[str, str]:
    """Who wrote a line, and the line as it was written: a replica, this platform's runner, or else Ray."""
    match = _PREFIX.match(line)
    return (match[1], match[2]) if match else (RAY, line)


def lines(text: str) -> list[str]:
    """The lines of a log: ended by newlines alone, so that a progress bar's carriage returns stay in theirs."""
    found = text.split("\n")
    if found[-1] == "":
        found.pop()
    return found


def split(text: str, replicas: Iterable[str]) -> dict[str, list[str]]:
    """A job's log by who wrote it, in the order written; every replica is there, and the platform and Ray."""
    found: dict[str, list[str]] = {name: [] for name in (*replicas, PLATFORM, RAY)}
    for line in lines(text):
        replica, content = split_line(line)
        found.setdefault(replica, []).append(content)
    return found
