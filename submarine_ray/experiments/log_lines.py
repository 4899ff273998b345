"""A log through windows, in the order in which its lines were written, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.experiments import find, logs
from submarine_ray.experiments.lines import LineIndex, read
from submarine_ray.experiments.log_parts import INDEXES, Part, Told
from submarine_ray.experiments.order import Order, Orders, Record, one_after_the_other
from submarine_ray.spec.answers.logs import LogLine, LogMatches, LogWindow, ReplicaLines
from submarine_ray.spec.stamps import stamp

LONGEST_SHOWN = 10_000  # characters of a line in a window; a download has all
MOST_MATCHES = 10_000
BATCH = 2_000
ORDERS = Orders()


@dataclass(frozen=True)
class Log:
    """The log of an attempt: what each replica has written, and the order of their lines, where it was kept."""

    parts: list[Part]
    order: Callable[[], AbstractContextManager[Record]] | None = None
    is_live: bool = False


@dataclass(frozen=True)
class _Opened:
    """A replica's file with its index."""

    file: Path
    size: int
    index: LineIndex
    lines: int
    last: bytes | None


class OpenedLog:
    """The log of one replica and what belongs to it, or of all, while `held` is open."""

    def __init__(self, log: Log, replica: str | None, held: ExitStack) -> None:
        self._is_live = log.is_live
        self._all = [(part.name, self._open(part, held)) for part in log.parts]
        self._parts = {name: one for name, one in self._all if logs.is_of(replica, name)}
        self._end: int | None = None
        self._is_ordered = False
        self._order = self._read_order(log, replica, held)
        self.total = sum(one.lines for one in self._parts.values())

    @staticmethod
    def _open(part: Part, held: ExitStack) -> _Opened:
        file = held.enter_context(part.open())
        size = file.stat().st_size if part.size is None else part.size
        index = INDEXES.of(file, size)
        return _Opened(file, size, index, index.total if part.lines is None else part.lines, part.last)

    def _read_order(self, log: Log, replica: str | None, held: ExitStack) -> Order:
        counts = {name: one.lines for name, one in self._parts.items()}
        if log.order is not None:
            record = held.enter_context(log.order())
            try:
                order = ORDERS.of(record, frozenset(counts) if replica else None)
            except ValueError:  # somebody has put something else in its place
                order = Order()
            is_own = record.size is not None or order.totals().keys() <= counts.keys()
            if is_own and order.total(record.size) == sum(counts.values()):
                self._is_ordered = True
                return order
        self._is_ordered = len([count for count in counts.values() if count]) <= 1
        return one_after_the_other(counts)

    def window(self, offset: int, limit: int, is_tail: bool = False) -> LogWindow:
        """`limit` lines from `offset` on, or the last."""
        first = max(0, self.total - limit) if is_tail else min(offset, self.total)
        return LogWindow(
            offset=first,
            total=self.total,
            lines=[
                LogLine(replica=name, time=time or None, line=_shown(line))
                for name, time, line in self.lines(first, limit)
            ],
            unfinished=[
                LogLine(replica=name, time=None, line=_shown(one.last))
                for name, one in self._parts.items()
                if one.last is not None
            ],
            replicas=[ReplicaLines(replica=name, lines=one.lines) for name, one in self._all],
            is_ordered=self._is_ordered,
            is_live=self._is_live,
        )

    def lines(self, first: int, limit: int) -> Iterator[logs.Line]:
        """`limit` lines from the `first` on."""
        runs = list(self._order.runs(first, min(first + limit, self.total)))
        begins: dict[str, int] = {}
        counts: dict[str, int] = {}
        for run in runs:
            begins.setdefault(run.name, run.first)
            counts[run.name] = counts.get(run.name, 0) + run.lines
        sources = {}
        for name, begin in begins.items():
            one = self._parts[name]
            batches = read(one.file, one.size, one.index, begin, counts[name])
            sources[name] = (line for batch in batches for line in batch)
        for run in runs:
            for _, line in zip(range(run.lines), sources[run.name], strict=False):
                yield logs.Line(run.name, run.time, line)

    def matches(self, search: find.Search) -> LogMatches:
        """Where the first MOST_MATCHES are."""
        found: list[int] = []
        for name, one in self._parts.items():
            own = find.first(MOST_MATCHES, find.matches(one.file, one.size, search))
            found += self._order.places(name, [line for line in own if line < one.lines])
        found.sort()
        return LogMatches(lines=found[:MOST_MATCHES], is_complete=len(found) <= MOST_MATCHES)


def _shown(line: bytes) -> str:
    text = logs.text(line)
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN]}… ({len(text):,} characters; the download has all)"


def window(log: Log, replica: str | None, offset: int, limit: int, is_tail: bool) -> LogWindow:
    """See OpenedLog.window."""
    with ExitStack() as held:
        return OpenedLog(log, replica, held).window(offset, limit, is_tail)


def matches(log: Log, replica: str | None, search: find.Search) -> LogMatches:
    """See OpenedLog.matches."""
    with ExitStack() as held:
        return OpenedLog(log, replica, held).matches(search)


def after(log: Log, replica: str | None, known: int) -> Iterator[list[Told]]:
    """The lines without the first `known`, some at a time."""
    with ExitStack() as held:
        opened = OpenedLog(log, replica, held)
        for first in range(known, opened.total, BATCH):
            yield [Told(name, logs.text(line), time) for name, time, line in opened.lines(first, BATCH)]


def plain(log: Log, replica: str | None) -> Iterator[bytes]:
    """The log as text in the order of its lines, each line behind its writer's name and its time."""
    with ExitStack() as held:
        batch: list[bytes] = []
        size = 0
        opened = OpenedLog(log, replica, held)
        for name, time, line in opened.lines(0, opened.total):
            written = f" {stamp(time)}" if time else ""
            batch.append(b"[%s%s] %s\n" % (name.encode(), written.encode(), line))
            size += len(line)
            if size > 65_536:
                yield b"".join(batch)
                batch, size = [], 0
        yield b"".join(batch)
