"""Predictions in a few threads beside the event loop, which goes on answering; what waits together may be one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from serve_apps.errors import Busy, ModelFailed
from serve_apps.model import Model
from serve_apps.parsing import Question

MAX_BATCH = 64
BATCH_WAIT_SECONDS = 0.002
# One prediction at a time, which is fastest; but beside one that takes longer than this, another is begun.
PATIENCE_SECONDS = 0.1
MAX_WAITING = 1000


@dataclass
class _Job:
    """Work for a thread: a question that may join others, or a function that has a thread to itself."""

    question: Question | None
    act: Callable[[Any], Any]
    """Makes what the caller gets of the model's answer; without a question, it does all."""
    future: asyncio.Future[Any] = field(repr=False)

    @property
    def key(self) -> Any:
        """Equal for questions that may be one call."""
        return None if self.question is None else (self.question.data.dtype, self.question.data.shape[1:])


class Predictions:
    """The queue before one model. All but `_work` runs in the event loop, so nothing here needs a lock."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._waiting: deque[_Job] = deque()
        self._running: dict[int, float] = {}
        self._asked = 0
        self._number = 0
        self._is_due = False
        self._pool = ThreadPoolExecutor(model.threads, "predict")

    async def joined(self, question: Question, act: Callable[[Any], Any]) -> Any:
        """`act` of the model's answer; other questions that wait at the same time may be asked with it."""
        return await self._put(question, act)

    async def alone(self, act: Callable[[Any], Any]) -> Any:
        """`act(None)`, in a thread of its own. Raises what it raises."""
        return await self._put(None, act)

    async def _put(self, question: Question | None, act: Callable[[Any], Any]) -> Any:
        if len(self._waiting) >= MAX_WAITING:
            raise Busy(f"{MAX_WAITING} requests are waiting for this replica already")
        loop = asyncio.get_running_loop()
        job = _Job(question, act, loop.create_future())
        self._waiting.append(job)
        self._asked += 1
        if question is not None and self._asked > 1:
            self._start_soon(loop)  # those that are on their way come along
        else:
            self._start(loop)
        try:
            return await job.future
        finally:
            self._asked -= 1

    def _start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_due:
            self._is_due = True
            loop.call_later(BATCH_WAIT_SECONDS, self._start_due, loop)

    def _start_due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_due = False
        self._start(loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._has_room():
            jobs = self._take()
            if not jobs:
                continue
            self._number += 1
            self._running[self._number] = monotonic()
            loop.call_later(PATIENCE_SECONDS, self._start, loop)
            self._pool.submit(self._work, jobs, self._number, loop)

    def _has_room(self) -> bool:
        quick = sum(monotonic() - begun < PATIENCE_SECONDS for begun in self._running.values())
        return quick == 0 and len(self._running) < self._model.threads

    def _take(self) -> list[_Job]:
        """The next job, and those that may be one call with it. Nobody waits any more for a cancelled one."""
        first = self._waiting.popleft()
        jobs = [first]
        if first.question is not None and self._model.may_join(first.question):
            kept: deque[_Job] = deque()
            while self._waiting and len(jobs) < MAX_BATCH:
                job = self._waiting.popleft()
                (jobs if job.key == first.key else kept).append(job)
            kept.extend(self._waiting)
            self._waiting = kept
        return [job for job in jobs if not job.future.done()]

    def _work(self, jobs: list[_Job], number: int, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread."""
        found: list[Any] = []
        try:
            found = self._found(jobs)
        finally:  # without an answer a caller would wait for ever
            missing = [ModelFailed("the prediction has ended without an answer")] * (len(jobs) - len(found))
            loop.call_soon_threadsafe(self._done, jobs, [*found, *missing], number, loop)

    def _found(self, jobs: list[_Job]) -> list[Any]:
        if jobs[0].question is None:
            return [_result(jobs[0].act, None)]
        answers = self._model.answer([job.question for job in jobs if job.question is not None])
        return [_result(job.act, answer) for job, answer in zip(jobs, answers, strict=True)]

    def _done(self, jobs: list[_Job], found: list[Any], number: int, loop: asyncio.AbstractEventLoop) -> None:
        del self._running[number]
        for job, result in zip(jobs, found, strict=True):
            if job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        if self._waiting and not self._is_due:
            self._start(loop)


def _result(act: Callable[[Any], Any], answer: Any) -> Any:
    """What `act` makes of the answer, or what is raised instead, by it or by the model before."""
    if isinstance(answer, BaseException):
        return answer
    try:
        return act(answer)
    except BaseException as failure:  # noqa: BLE001 (it is its request's answer; without one, the caller would wait on)
        return failure if isinstance(failure, Exception) else ModelFailed(repr(failure), repr(failure))
