"""Copies of logs that are not archived yet, on this service's disk: split by replica once, for all readers.

What is here is a copy; all of it can be dropped at any time at which nobody reads it.
"""

from __future__ import annotations

import itertools
import shutil
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from submarine_ray.clusters.drivers.base import LOG_SECONDS, Driver, LogBeganAnew, Mark
from submarine_ray.core.errors import Unavailable
from submarine_ray.experiments.order import Record
from submarine_ray.experiments.split import Split, Written

IDLE_SECONDS = 600.0


@dataclass(eq=False)
class Snapshot:
    """What a job's replicas had written at one moment, up to `mark` of the job's log, and in which `order`; readable
    while it is held.
    """

    written: list[Written]
    mark: Mark
    order: Record


@dataclass(eq=False)
class _Spool:
    """One job's, `held` by so many, `used` last at a monotonic time."""

    directory: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    split: Split | None = None
    held: int = 0
    is_done: bool = False
    used: float = 0.0


@contextmanager
def _whole_or_anew(spool: _Spool) -> Iterator[None]:
    """Drop the copy if the disk takes no more: it has a hole, so the next look begins anew. Raises Unavailable."""
    try:
        yield
    except OSError as failure:
        spool.split = None
        why = failure.strerror or str(failure)
        raise Unavailable(f"The log cannot be copied to this service's disk now: {why}.") from failure


class Spools:
    """One directory for each job, below `directory`, which only one service uses."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._spools: dict[str, _Spool] = {}
        self._lock = threading.RLock()  # a reader's end may come in the middle of anything
        self._numbers = itertools.count(1)

    def clear(self) -> None:
        """Delete what an earlier process left."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def look(self, driver: Driver, submission_id: str, names: Sequence[str], least: int | None = None) -> Snapshot:
        """What the job's replicas have written so far; or what is known of it, if that is `least` lines: the cluster is
        not asked then, which may have to read all of a log to give its end.

        Raises UnknownJob, Unreachable, Unavailable.
        """
        with self._holding(submission_id) as spool:
            with spool.lock, _whole_or_anew(spool):
                split = spool.split
                if split is None or least is None or split.lines < least:
                    split = self._caught_up(spool, driver, submission_id, names, LOG_SECONDS)
                snapshot = Snapshot(split.written(), split.mark, split.order())
            self._hold(spool)
            weakref.finalize(snapshot, self._let_go, submission_id, spool)  # a reader may go away without a word
        return snapshot

    @contextmanager
    def whole(
        self, driver: Driver, submission_id: str, names: Sequence[str], patience: float = LOG_SECONDS
    ) -> Iterator[Path]:
        """A directory with the log of each replica of a job that has ended; it goes with the context if all went well.

        Raises UnknownJob, Unreachable, Unavailable.
        """
        with self._holding(submission_id) as spool:
            with spool.lock, _whole_or_anew(spool):
                split = self._caught_up(spool, driver, submission_id, names, patience)
                split.end()
                spool.split = None  # a second look begins anew
            yield split.directory
            spool.is_done = True

    def _caught_up(
        self, spool: _Spool, driver: Driver, submission_id: str, names: Sequence[str], patience: float
    ) -> Split:
        """The split log with all that the job has written by now."""
        for _ in range(2):
            split = spool.split or self._begun(spool, names)
            try:
                for piece in driver.read_log(submission_id, split.taken, patience):
                    split.add(piece)
                return split
            except LogBeganAnew:
                spool.split = None
        return split

    def _begun(self, spool: _Spool, names: Sequence[str]) -> Split:
        # Not where those may still read who found the last one.
        spool.split = Split(spool.directory / str(next(self._numbers)), names)
        return spool.split

    @contextmanager
    def _holding(self, submission_id: str) -> Iterator[_Spool]:
        with self._lock:
            spool = self._spools.get(submission_id)
            if spool is None:
                directory = self._directory / f"{submission_id}.{next(self._numbers)}"
                spool = self._spools[submission_id] = _Spool(directory)
            spool.held += 1
        try:
            self._sweep()
            yield spool
        finally:
            self._let_go(submission_id, spool)

    def _sweep(self) -> None:
        """Delete copies that nobody has read for a while, such as logs of deleted experiments."""
        with self._lock:
            late = time.monotonic() - IDLE_SECONDS
            idle = [name for name, spool in self._spools.items() if not spool.held and spool.used < late]
            dropped = [self._spools.pop(name) for name in idle]
        for spool in dropped:
            shutil.rmtree(spool.directory, ignore_errors=True)

    def _hold(self, spool: _Spool) -> None:
        with self._lock:
            spool.held += 1

    def _let_go(self, submission_id: str, spool: _Spool) -> None:
        """End a use of a copy. The last use of one that was archived, or never filled, deletes it."""
        with self._lock:
            spool.held -= 1
            spool.used = time.monotonic()
            if spool.held or not (spool.is_done or spool.split is None):
                return
            if self._spools.get(submission_id) is spool:
                del self._spools[submission_id]
        shutil.rmtree(spool.directory, ignore_errors=True)
