"""Asks whether a job still runs, once for all followers of its log, on separate threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Answer = TypeVar("Answer")
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="still-active")


async def aside(call: Callable[..., Answer], *arguments: Any) -> Answer:
    """What `call` answers, on one of these threads: it may wait for a cluster."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, call, *arguments)


class Activity:
    """`ask` is called on another thread; it may raise."""

    def __init__(self, ask: Callable[[str], bool]) -> None:
        self._ask = ask
        self._asking: dict[str, asyncio.Future[bool]] = {}

    async def of(self, submission_id: str) -> bool:
        """Whether the job may still write."""
        asking = self._asking.get(submission_id)
        loop = asyncio.get_running_loop()
        if asking is None or asking.done() or asking.get_loop() is not loop:
            asking = loop.run_in_executor(_THREADS, self._ask, submission_id)
            asking.add_done_callback(lambda _: self._asking.pop(submission_id, None))
            self._asking[submission_id] = asking
        return await asyncio.shield(asking)  # a follower that leaves takes the answer from nobody
