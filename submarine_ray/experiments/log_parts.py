"""Logs as they are read: one part for each replica, each in pieces, whole or through a window."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from submarine_ray.experiments import logs
from submarine_ray.experiments.lines import Indexes, read
from submarine_ray.experiments.spool import Snapshot

MOST_LINES = 10_000
INDEXES = Indexes()


@dataclass(frozen=True)
class Window:
    """Which lines of each replica: `limit` from `offset` on, or the last `tail`; without any, all."""

    offset: int = 0
    limit: int | None = None
    tail: int | None = None

    @property
    def is_whole(self) -> bool:
        return self == Window()


WHOLE = Window()


class Told(NamedTuple):
    """A line as a stream tells it, with the time at which it was written, in milliseconds since 1970 (0: not known)."""

    replica: str
    line: str
    time: int = 0


@dataclass(frozen=True)
class Part:
    """What one replica has written: a file that can be opened, the first `size` bytes and `lines` of it (None: all),
    and `last`, a line that may not be finished. `source` is what has to be kept as long as it is read.
    """

    name: str
    open: Callable[[], AbstractContextManager[Path]]
    size: int | None = None
    last: bytes | None = None
    source: object = None
    lines: int | None = None

    def batches(self, window: Window = WHOLE, told: Callable[[int], None] = lambda _: None) -> Iterator[list[str]]:
        """The part's lines, some at a time; `told` is called with the number of all lines, unless all are wanted."""
        with self.open() as file:
            size = file.stat().st_size if self.size is None else self.size
            index = None if window.is_whole else INDEXES.of(file, size)
            first, count, last = window.offset, window.limit, self.last
            if index is not None:
                there = index.total
                total = there + (last is not None)
                told(total)
                first = window.offset if window.tail is None else max(0, total - window.tail)
                end = total if window.limit is None else min(total, first + window.limit)
                count = max(0, min(end, there) - first)
                last = last if first <= there < end else None
            for lines in read(file, size, index, first, count):
                yield [logs.text(line) for line in lines]
            if last is not None:
                yield [logs.text(last)]


def of_snapshot(snapshot: Snapshot) -> list[Part]:
    return [
        Part(one.name, lambda file=one.file: nullcontext(file), one.size, one.last, snapshot, one.lines)  # type: ignore[misc]
        for one in snapshot.written
    ]


def empty(names: Sequence[str]) -> list[Part]:
    """The parts of replicas that have written nothing yet."""
    return [Part(name, lambda: nullcontext(Path(os.devnull)), 0) for name in logs.ordered(names)]


def replicas(parts: Sequence[Part], replica: str | None) -> list[Part]:
    """The parts of all replicas, without those of the platform and Ray; or the part of one name."""
    found = [part for part in parts if part.name not in (logs.PLATFORM, logs.RAY)]
    return [part for part in (parts if replica else found) if logs.is_of(replica, part.name)]


def answer(experiment_id: str, parts: Sequence[Part], window: Window) -> Iterator[bytes]:
    """Submarine's document of a log, in pieces; through a window its attributes say how many `lines` there are."""
    totals: dict[str, int] = {}
    yield b'{"status":"OK","code":200,"success":true,"message":null,"result":{"experimentId":'
    yield orjson.dumps(experiment_id) + b',"logContent":['
    for number, part in enumerate(parts):
        pod = f"{experiment_id}-{part.name}"
        yield (b"," if number else b"") + b'{"podName":' + orjson.dumps(pod) + b',"podLog":['
        between = b""
        for lines in part.batches(window, lambda total, pod=pod: totals.__setitem__(pod, total)):  # type: ignore[misc]
            yield between + orjson.dumps(lines)[1:-1]
            between = b","
        yield b"]}"
    attributes: dict[str, Any] = {} if window.is_whole else {"lines": totals}
    yield b']},"attributes":' + orjson.dumps(attributes) + b"}"


def records(parts: Sequence[Part], window: Window) -> Iterator[bytes]:
    """The log as JSON lines {replica, line}."""
    for part in parts:
        for lines in part.batches(window):
            yield encoded(Told(part.name, line) for line in lines)


def plain(parts: Sequence[Part]) -> Iterator[bytes]:
    """The log as text, one replica after the other."""
    for part in parts:
        for lines in part.batches():
            yield "".join(f"{line}\n" for line in lines).encode()


def encoded(told: Iterable[Told]) -> bytes:
    return b"".join(
        orjson.dumps({"replica": one.replica, "line": one.line} | ({"time": one.time} if one.time else {})) + b"\n"
        for one in told
    )
