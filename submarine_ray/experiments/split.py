"""A job's log, taken in pieces, as one file for each who wrote in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from submarine_ray.clusters.drivers.base import Mark
from submarine_ray.experiments import logs
from submarine_ray.experiments.order import Record, Recorder

LONGEST_UNFINISHED = 65_536
MOST_WRITERS = 20_000  # a script may write anything, prefixes of replicas that never were too


@dataclass(frozen=True)
class Written:
    """What one replica has written: the first `size` bytes of a file, and `last`, a line that may be unfinished."""

    name: str
    file: Path
    size: int
    lines: int
    last: bytes | None = None


@dataclass
class _Writer:
    """One replica's file: `size` and `lines` of what is in it, and the line whose place the next one takes."""

    size: int = 0
    lines: int = 0
    unfinished: bytes | None = None
    time: int = 0  # of the unfinished line
    fresh: list[bytes] = field(default_factory=list)


class Split:
    """Files `{name}.log` in `directory`, that grow with the log. For one thread at a time."""

    def __init__(self, directory: Path, names: Iterable[str]) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.taken = 0  # bytes of the log
        self._newlines = 0
        self._rest = b""
        self._goes_on: str | None = None  # whose line was cut
        self._writers: dict[str, _Writer] = {}
        self._order = Recorder(directory / logs.ORDER)
        for name in (*names, logs.PLATFORM, logs.RAY):
            self._writer(name)

    def add(self, piece: bytes) -> None:
        """Add the next piece of the log."""
        lines, self._rest = logs.cut(self._rest, piece)
        is_cut = bool(lines) and not self._rest and not piece.endswith(b"\n")
        self.taken, self._newlines = self.taken + len(piece), self._newlines + piece.count(b"\n")
        touched = set()
        for line in lines:
            last = self._put(line, self._goes_on)
            touched.add(last)
            self._goes_on = last if is_cut and line is lines[-1] else None
        for name in touched:
            self._flush(name)
        self._order.flush()

    @property
    def lines(self) -> int:
        """How many lines are in the files."""
        return sum(writer.lines for writer in self._writers.values())

    @property
    def mark(self) -> Mark:
        """The offset of the first line that is not in the files."""
        return Mark(self.taken - len(self._rest), self._newlines)

    def end(self) -> None:
        """End the log: unfinished lines are kept as they are."""
        rest, self._rest = self._rest, b""
        if rest:
            self._put(rest, self._goes_on)
        for name, writer in self._writers.items():
            if writer.unfinished is not None:
                writer.fresh.append(logs.finished(writer.unfinished))
                self._order.add(name, writer.time)
                writer.unfinished = None
            self._flush(name)
        self._order.flush()

    def written(self) -> list[Written]:
        """What each replica has written so far; it stays readable while more is added."""
        name, _, line = logs.who(self._rest) if self._rest else logs.Line("", 0, b"")
        found = []
        for one in logs.ordered({*self._writers} | ({name} if self._rest else set())):
            writer = self._writers.get(one) or self._writer(one)
            last = line if self._rest and one == name else writer.unfinished
            last = last if last is None or one == logs.RAY else logs.finished(last)
            found.append(Written(one, self._file(one), writer.size, writer.lines, last))
        return found

    def order(self) -> Record:
        """In which order the lines were written that `written` tells of."""
        return self._order.record()

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _writer(self, name: str) -> _Writer:
        if name not in self._writers:
            self._writers[name] = _Writer()
            self._file(name).touch(mode=0o600)
        return self._writers[name]

    def _put(self, line: bytes, goes_on: str | None = None) -> str:
        """Add a line to who wrote it, or the next part of one that was cut; the name."""
        name, time, content = logs.who(line) if goes_on is None else logs.Line(goes_on, 0, line)
        if name not in self._writers and len(self._writers) >= MOST_WRITERS:
            name, content = logs.RAY, line
        writer = self._writer(name)
        writer.unfinished = None
        if logs.is_passing(name, content) and len(content) <= LONGEST_UNFINISHED:
            writer.unfinished, writer.time = content, time
        else:
            writer.fresh.append(content)
            self._order.add(name, time)
        return name

    def _flush(self, name: str) -> None:
        writer = self._writers[name]
        if not writer.fresh:
            return
        with self._file(name).open("ab") as file:
            file.write(b"\n".join(writer.fresh) + b"\n")
            writer.size = file.tell()
        writer.lines += len(writer.fresh)
        writer.fresh = []
