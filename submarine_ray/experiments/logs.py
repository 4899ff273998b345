"""One job log, many replicas: each line of replica `worker-1` is prefixed with `[worker-1] `."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PREFIX = re.compile(r"\[(master|chief|worker|ps|evaluator)-(\d{1,5})\] ?(.*)", re.DOTALL)
PLATFORM = "submarine"


def split_line(line: str) -> tuple[str, str]:
    """The replica that a line came from, and the line as that replica wrote it."""
    match = _PREFIX.match(line)
    return (f"{match[1]}-{match[2]}", match[3]) if match else (PLATFORM, line)


def lines(text: str) -> list[str]:
    """The lines of a log: ended by newlines alone, so that a progress bar's carriage returns stay in theirs."""
    found = text.split("\n")
    if found[-1] == "":
        found.pop()
    return found


def split(text: str, replicas: Iterable[str]) -> dict[str, list[str]]:
    """A job's log by replica, in the order written; every replica is there, `submarine` holds the platform's lines."""
    found: dict[str, list[str]] = {name: [] for name in (*replicas, PLATFORM)}
    for line in lines(text):
        replica, content = split_line(line)
        found.setdefault(replica, []).append(content)
    return found
