"""Limits the memory that bodies in processing take, and has the threads that parse them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")

READERS = 2  # Python reads one document at a time; a second lets a short one pass a long one
_readers = ThreadPoolExecutor(READERS, thread_name_prefix="documents")


async def off_the_loop(work: Callable[[], T]) -> T:
    """What `work` gives, done in a thread: meanwhile other requests are answered."""
    return await asyncio.get_running_loop().run_in_executor(_readers, work)


class Room:
    """So many bytes. Who needs more than is left waits until others have gone, in order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold `size` of it, or all of it if that is less."""
        size = min(size, self._size)
        await self._take(size)
        try:
            yield
        finally:
            self._give(size)

    async def _take(self, size: int) -> None:
        if not self._waiting and self._taken + size <= self._size:
            self._taken += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(size)
            raise

    def _give(self, size: int) -> None:
        self._taken -= size
        while self._waiting:
            needed, turn = self._waiting[0]
            if turn.done():  # who waited has gone
                self._waiting.popleft()
            elif self._taken + needed <= self._size:
                self._waiting.popleft()
                self._taken += needed
                turn.set_result(None)
            else:
                return
