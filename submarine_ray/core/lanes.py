"""Work on threads, with a bound for each lane: what is stuck in one lane leaves threads to the others.

A lane is a cluster, mostly. Work of a lane that is full waits in the order in which it came.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol


class Runner(Protocol):
    """What runs work: threads, or a test that runs it by hand."""

    def submit(self, work: Callable[[], None], /) -> Any: ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...


@dataclass(frozen=True, eq=False)
class _Work:
    lane: str
    call: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)


class Lanes:
    """At most `of_lane` works of a lane run at a time, and `most` in all."""

    def __init__(
        self,
        name: str,
        most: int,
        of_lane: int,
        runner: Runner | None = None,
        freed: Callable[[str], None] = lambda _lane: None,
    ) -> None:
        """`freed` is told of a lane in which a work has ended."""
        self._most = most
        self._freed = freed
        self._of_lane = of_lane
        self._runner = runner or ThreadPoolExecutor(most, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._waiting: deque[_Work] = deque()

    def put(self, lane: str, call: Callable[[], Any], queue: int | None = None) -> Future[Any] | None:
        """Run `call` as soon as there is room; None if `queue` works of its lane wait already."""
        work = _Work(lane, call)
        with self._lock:
            self._waiting = deque(one for one in self._waiting if not one.answer.cancelled())
            if self._has_room(lane):
                self._begin(work)
            elif queue is None or self._count_waiting(lane) < queue:
                self._waiting.append(work)
            else:
                return None
        return work.answer

    def free(self) -> int:
        """How many works could begin now, in different lanes."""
        with self._lock:
            return max(0, self._most - self._running.total())

    def full(self) -> set[str]:
        """The lanes in which no work could begin now."""
        with self._lock:
            return {lane for lane, count in self._running.items() if count >= self._of_lane}

    def waiting(self) -> Counter[str]:
        """How many works of each lane have not begun."""
        with self._lock:
            return Counter(one.lane for one in self._waiting if not one.answer.cancelled())

    def close(self, wait: bool) -> None:
        """Begin nothing more; `wait`: until what has begun is done."""
        with self._lock:
            left, self._waiting = self._waiting, deque()
        for work in left:
            work.answer.cancel()
        self._runner.shutdown(wait, cancel_futures=True)

    def _count_waiting(self, lane: str) -> int:
        return sum(one.lane == lane for one in self._waiting)

    def _has_room(self, lane: str) -> bool:
        return self._running[lane] < self._of_lane and self._running.total() < self._most

    def _begin(self, work: _Work) -> None:
        self._running[work.lane] += 1
        self._runner.submit(lambda: self._run(work))

    def _run(self, work: _Work) -> None:
        try:
            if work.answer.set_running_or_notify_cancel():
                try:
                    work.answer.set_result(work.call())
                except BaseException as failure:  # noqa: BLE001 (it is whoever put the work who gets it)
                    work.answer.set_exception(failure)
        finally:
            self._next(work.lane)
            self._freed(work.lane)

    def _next(self, lane: str) -> None:
        """Begin what waited longest of those that may."""
        with self._lock:
            self._running[lane] -= 1
            self._running += Counter()  # drops the lanes in which nothing runs
            begun = next((one for one in self._waiting if self._has_room(one.lane)), None)
            if begun is not None:
                self._waiting.remove(begun)
                self._begin(begun)
