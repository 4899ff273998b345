"""The order in which replicas wrote their lines, and when: runs of lines in a file beside those of the replicas.

A line of the file is a run: `worker-0 1795831867120 12` means that worker-0 wrote its next 12 lines at that time, in
milliseconds since 1970 (0: not known). Lines of one replica within a hundredth of a second are one run, so the file
stays far smaller than the logs.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

MOST_RUNS = 4_000_000  # kept, of all orders together: 60 bytes each
PIECE = 2**20


@dataclass(frozen=True)
class Record:
    """The first `size` bytes of a file of runs; None: all of it."""

    file: Path
    size: int | None = None


class Recorder:
    """Writes the runs of a log that is read in pieces. For one thread at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._size = 0
        self._run = ["", 0, 0]
        self._fresh: list[str] = []
        self._now = 0  # what has no time of its own was written after what came before it
        file.touch(mode=0o600)

    def add(self, name: str, time: int) -> None:
        """The next line."""
        self._now = max(self._now, time)
        run = self._run
        if run[0] == name and run[1] == self._now:
            run[2] += 1  # type: ignore[operator]
            return
        self._close()
        self._run = [name, self._now, 1]

    def flush(self) -> None:
        """Write what was added."""
        self._close()
        self._run = ["", 0, 0]
        if self._fresh:
            with self._file.open("a") as file:
                file.write("".join(self._fresh))
                self._size = file.tell()
            self._fresh = []

    def record(self) -> Record:
        """What was written so far."""
        return Record(self._file, self._size)

    def _close(self) -> None:
        name, time, count = self._run
        if count:
            self._fresh.append(f"{name} {time} {count}\n")


class Run(NamedTuple):
    """So many `lines` of one replica, `first` the number of the first among the replica's own."""

    name: str
    time: int
    first: int
    lines: int


@dataclass
class _Replica:
    """How many lines a replica has, and for each of its runs the first of them and its number among all runs."""

    number: int
    lines: int = 0
    firsts: array[int] = field(default_factory=lambda: array("Q"))
    runs: array[int] = field(default_factory=lambda: array("L"))


class Order:
    """Runs of some replicas, as far as the file has been read. Lines are counted from 0."""

    def __init__(self, names: frozenset[str] | None = None) -> None:
        self._wanted = names
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._of: dict[bytes, _Replica] = {}
        self.size = 0
        self._ends = array("Q")  # in the file, for each run
        self._starts = array("Q", [0])
        self._who, self._times, self._firsts = array("L"), array("Q"), array("Q")

    def extend(self, record: Record) -> None:
        """Read on to the end of the record. Raises ValueError if it holds something else."""
        with self._lock, record.file.open("rb") as file:
            file.seek(self.size)
            while record.size is None or self.size < record.size:
                piece = file.read(PIECE if record.size is None else min(PIECE, record.size - self.size))
                if not piece:
                    return
                self.read(piece if piece.endswith(b"\n") else piece + file.readline())

    def read(self, content: bytes) -> None:
        """Read on in what follows in the file. Raises ValueError."""
        try:
            self._read(content)
        except OverflowError as failure:  # a count or a time that no log has
            raise ValueError(str(failure)) from failure

    def _read(self, content: bytes) -> None:
        total = self._starts[-1]
        for line in content.splitlines(keepends=True):  # a million of them at worst
            name, time, count = line.split(b" ")
            of = self._of.get(name) or self._of_new(name)
            size = self.size + len(line)
            if of is not None:
                lines = int(count)
                total += lines
                of.firsts.append(of.lines)
                of.runs.append(len(self._who))
                self._who.append(of.number)
                self._times.append(int(time))
                self._firsts.append(of.lines)
                self._ends.append(size)
                self._starts.append(total)
                of.lines += lines
            self.size = size  # last: who sees it, without the lock, finds the run

    def _of_new(self, name: bytes) -> _Replica | None:
        text = name.decode()
        if self._wanted is not None and text not in self._wanted:
            return None
        self._names.append(text)
        made = self._of[name] = _Replica(len(self._names) - 1)
        return made

    @property
    def count(self) -> int:
        """How many runs there are."""
        return len(self._who)

    def total(self, size: int | None = None) -> int:
        """How many lines there are in the first `size` bytes of the file."""
        return self._starts[len(self._who) if size is None else bisect_right(self._ends, size)]

    def totals(self) -> dict[str, int]:
        """How many lines each replica has."""
        return {self._names[one.number]: one.lines for one in self._of.values()}

    def runs(self, first: int, end: int) -> Iterator[Run]:
        """The runs of the lines from `first` to before `end`; the outer ones as far as they are within."""
        at = bisect_right(self._starts, first) - 1
        while at < len(self._who) and (start := self._starts[at]) < end:
            begin, stop = max(first, start), min(end, self._starts[at + 1])
            yield Run(self._names[self._who[at]], self._times[at], self._firsts[at] + begin - start, stop - begin)
            at += 1

    def places(self, name: str, own: list[int]) -> list[int]:
        """Where the replica's own lines stand among all."""
        of = self._of.get(name.encode())
        if of is None:
            return []
        ats = [bisect_right(of.firsts, line) - 1 for line in own]
        return [self._starts[of.runs[at]] + line - of.firsts[at] for at, line in zip(ats, own, strict=True)]


def one_after_the_other(totals: Mapping[str, int]) -> Order:
    """The order of a log of which none was kept: replica after replica."""
    made = Order()
    made.read(b"".join(b"%s 0 %d\n" % (name.encode(), total) for name, total in totals.items() if total))
    return made


class Orders:
    """The orders that were read lately, each of a file and of the replicas that somebody looks at."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, int, frozenset[str] | None], Order] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, record: Record, names: frozenset[str] | None) -> Order:
        """The order of the lines of `names`, or of all."""
        key = (str(record.file), record.file.stat().st_ino, names)
        with self._lock:
            order = self._found.setdefault(key, Order(names))
            self._found.move_to_end(key)
            while len(self._found) > 1 and sum(one.count for one in self._found.values()) > MOST_RUNS:
                self._found.popitem(last=False)
        if record.size is None or order.size < record.size:
            order.extend(record)
        return order
