"""Work on threads, with a bound for each lane: what is stuck in one lane leaves threads to the others.

A lane is a cluster, mostly. Work of a lane that is full waits in the order in which it came. Lanes in which a work
takes long share places of their own: however many clusters hang, the others find the usual number of places.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from submarine_ray.core.clock import CLOCK

SLOW_MS = 1_000
"""A lane is slow while a work in it takes longer, and until one has taken less."""
TIMES = 4
"""All works together may take so many times the threads of prompt lanes, as many clusters may hang at one moment."""


class Runner(Protocol):
    """What runs work: threads, or a test that runs it by hand."""

    def submit(self, work: Callable[[], None], /) -> Any: ...

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...


@dataclass(eq=False)
class _Work:
    lane: str
    call: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)
    begun_ms: int = 0


@dataclass
class _Places:
    """What is taken at one moment: by lane, and by the lanes that are slow or not."""

    slow: set[str]
    of_lane: Counter[str] = field(default_factory=Counter)
    of_kind: Counter[bool] = field(default_factory=Counter)

    def take(self, lane: str) -> None:
        self.of_lane[lane] += 1
        self.of_kind[lane in self.slow] += 1


class Lanes:
    """At most `of_lane` works of a lane run at a time, `most` of prompt lanes, and `most` of slow ones."""

    def __init__(
        self,
        name: str,
        most: int,
        of_lane: int,
        runner: Runner | None = None,
        freed: Callable[[str], None] = lambda _lane: None,
        even_ms: Callable[[], int] = CLOCK.even_ms,
    ) -> None:
        """`freed` is told of a lane in which a work has ended; `even_ms` is the clock that works are timed by."""
        self._most = most
        self._freed = freed
        self._of_lane = of_lane
        self._even_ms = even_ms
        self._runner = runner or ThreadPoolExecutor(most * TIMES, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running: set[_Work] = set()
        self._slow: set[str] = set()
        self._waiting: deque[_Work] = deque()

    def put(self, lane: str, call: Callable[[], Any], queue: int | None = None) -> Future[Any] | None:
        """Run `call` as soon as there is room; None if `queue` works of its lane wait already."""
        work = _Work(lane, call)
        with self._lock:
            self._waiting = deque(one for one in self._waiting if not one.answer.cancelled())
            self._begin_waiting()
            if self._has_room(lane, self._places()):
                self._begin(work)
            elif queue is None or self._count_waiting(lane) < queue:
                self._waiting.append(work)
            else:
                return None
        return work.answer

    def advance(self) -> None:
        """Begin what waits and has room by now: lanes have become slow, and have left places to others."""
        with self._lock:
            self._begin_waiting()

    def free(self) -> int:
        """How many works could begin now, in different lanes that are not full."""
        with self._lock:
            places = self._places()
            left = self._most * TIMES - len(self._running)
            kinds = (False, True) if places.slow - self._full(places) else (False,)
            return max(0, min(left, *(self._most - places.of_kind[kind] for kind in kinds)))

    def full(self) -> set[str]:
        """The lanes in which no work could begin now."""
        with self._lock:
            return self._full(self._places())

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

    def _places(self) -> _Places:
        late = self._even_ms() - SLOW_MS
        places = _Places(self._slow | {one.lane for one in self._running if one.begun_ms < late})
        for one in self._running:
            places.take(one.lane)
        return places

    def _full(self, places: _Places) -> set[str]:
        full = {lane for lane, count in places.of_lane.items() if count >= self._of_lane}
        return full | places.slow if places.of_kind[True] >= self._most else full

    def _has_room(self, lane: str, places: _Places) -> bool:
        return (
            places.of_lane[lane] < self._of_lane
            and places.of_kind[lane in places.slow] < self._most
            and len(self._running) < self._most * TIMES
        )

    def _begin(self, work: _Work) -> None:
        work.begun_ms = self._even_ms()
        self._running.add(work)
        self._runner.submit(lambda: self._run(work))

    def _run(self, work: _Work) -> None:
        try:
            if work.answer.set_running_or_notify_cancel():
                try:
                    work.answer.set_result(work.call())
                except BaseException as failure:  # noqa: BLE001 (it is whoever put the work who gets it)
                    work.answer.set_exception(failure)
        finally:
            self._end(work)
            self._freed(work.lane)

    def _end(self, work: _Work) -> None:
        with self._lock:
            self._running.remove(work)
            if self._even_ms() - work.begun_ms > SLOW_MS:
                self._slow.add(work.lane)
            else:
                self._slow.discard(work.lane)
            self._begin_waiting()

    def _begin_waiting(self) -> None:
        """Begin what waited longest of those that may."""
        if not self._waiting:
            return
        places, left = self._places(), deque[_Work]()
        for work in self._waiting:
            if self._has_room(work.lane, places):
                places.take(work.lane)
                self._begin(work)
            else:
                left.append(work)
        self._waiting = left


def finish(*lanes: Lanes) -> None:
    """Let what has begun come to its end, one after the other."""
    for one in lanes:
        one.close(wait=True)
