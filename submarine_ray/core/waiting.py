"""Waiting for what may never answer, such as a cluster: on threads of its own, so that nobody else waits with it.

Requests share forty threads. A handful of clusters that accept connections and say nothing would hold them all.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from submarine_ray.core.errors import Busy

WORKERS = 16
AT_ONCE = 4  # of one cluster: a silent one leaves most workers to the others
QUEUE = 16  # of one cluster
PATIENCE_SECONDS = 20.0

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Question:
    whom: str
    call: Callable[[], Any]
    answer: Future[Any]


class Waiting:
    """Asks in threads, `at_once` questions of each whom at a time, `queue` more wait; what is beyond is Busy."""

    def __init__(self, workers: int = WORKERS, at_once: int = AT_ONCE, queue: int = QUEUE) -> None:
        self._workers = workers
        self._at_once = at_once
        self._queue = queue
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="waiting")
        self._lock = threading.Lock()
        self._asking: Counter[str] = Counter()
        self._waiting: deque[_Question] = deque()

    async def ask(
        self, whom: str, call: Callable[Asked, Answer], *arguments: Asked.args, **options: Asked.kwargs
    ) -> Answer:
        """What `call` answers, off the event loop. Raises Busy if too many wait for `whom`, or it waited too long."""
        context = copy_context()  # who asks goes with the question
        answer: Future[Answer] = self._put(whom, lambda: context.run(call, *arguments, **options))
        waiting = asyncio.wrap_future(answer)
        try:
            done, _ = await asyncio.wait([waiting], timeout=PATIENCE_SECONDS)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        if not done and answer.cancel():
            raise _busy(whom)
        return await waiting

    def close(self) -> None:
        """Begin nothing more; what is being asked ends by its own timeouts."""
        with self._lock:
            left, self._waiting = self._waiting, deque()
        for question in left:
            question.answer.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _put(self, whom: str, call: Callable[[], Any]) -> Future[Any]:
        question = _Question(whom, call, Future())
        with self._lock:
            self._waiting = deque(one for one in self._waiting if not one.answer.cancelled())
            if self._may_begin(whom):
                self._begin(question)
            elif sum(one.whom == whom for one in self._waiting) < self._queue:
                self._waiting.append(question)
            else:
                raise _busy(whom)
        return question.answer

    def _may_begin(self, whom: str) -> bool:
        return self._asking[whom] < self._at_once and self._asking.total() < self._workers

    def _begin(self, question: _Question) -> None:
        self._asking[question.whom] += 1
        self._pool.submit(self._answer, question)

    def _answer(self, question: _Question) -> None:
        try:
            if question.answer.set_running_or_notify_cancel():
                try:
                    question.answer.set_result(question.call())
                except BaseException as failure:  # noqa: BLE001 (it is whoever asked who gets it)
                    question.answer.set_exception(failure)
        finally:
            self._next(question.whom)

    def _next(self, whom: str) -> None:
        """Begin what waited longest of those that may."""
        with self._lock:
            self._asking[whom] -= 1
            self._asking += Counter()  # drops those of whom nothing is asked
            begun = next((one for one in self._waiting if self._may_begin(one.whom)), None)
            if begun is not None:
                self._waiting.remove(begun)
                self._begin(begun)


def _busy(whom: str) -> Busy:
    return Busy(f"Too many requests wait for {whom[:80]!r} already; try again in a moment.")
