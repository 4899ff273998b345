"""Runs calls that may hang, such as to a cluster, on threads of their own, so that other requests do not wait.

Requests share forty threads. A handful of clusters that accept connections and say nothing would hold them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from submarine_ray.core.errors import Busy
from submarine_ray.core.lanes import Lanes

WORKERS = 16
AT_ONCE = 4  # of one cluster: a silent one leaves most workers to the others
QUEUE = 16  # of one cluster
PATIENCE_SECONDS = 20

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


class Waiting:
    """Asks in threads, `at_once` questions of each whom at a time, `queue` more wait; what is beyond is Busy."""

    def __init__(self, workers: int = WORKERS, at_once: int = AT_ONCE, queue: int = QUEUE) -> None:
        self._lanes = Lanes("waiting", workers, at_once)
        self._queue = queue

    async def ask(
        self, whom: str, call: Callable[Asked, Answer], *arguments: Asked.args, **options: Asked.kwargs
    ) -> Answer:
        """What `call` answers, off the event loop. Raises Busy if too many wait for `whom`, or it waited too long."""
        context = copy_context()  # who asks goes with the question
        answer = self._lanes.put(whom, lambda: context.run(call, *arguments, **options), self._queue)
        if answer is None:
            raise _busy(whom)
        waiting: asyncio.Future[Answer] = asyncio.wrap_future(answer)
        try:
            for _ in range(PATIENCE_SECONDS):
                done, _ = await asyncio.wait([waiting], timeout=1)
                if done:
                    break
                self._lanes.advance()
        except asyncio.CancelledError:
            answer.cancel()
            raise
        if not done and answer.cancel():
            raise _busy(whom)
        return await waiting

    def close(self) -> None:
        """Begin nothing more; what is being asked ends by its own timeouts."""
        self._lanes.close(wait=False)


def _busy(whom: str) -> Busy:
    return Busy(f"Too many requests wait for {whom[:80]!r} already; try again in a moment.")
