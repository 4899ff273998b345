"""A query that many pages make because of one change runs once for all of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar, overload

Asked = ParamSpec("Asked")
Found = TypeVar("Found")


@overload
async def off_the_loop(
    action: Callable[Asked, Awaitable[Found]], *arguments: Asked.args, **options: Asked.kwargs
) -> Found: ...
@overload
async def off_the_loop(action: Callable[Asked, Found], *arguments: Asked.args, **options: Asked.kwargs) -> Found: ...
async def off_the_loop(action: Callable[..., object], *arguments: object, **options: object) -> object:
    """What `action` answers, in a thread; what waits for a cluster does so by itself, elsewhere (core/waiting.py)."""
    if inspect.iscoroutinefunction(action):
        return await action(*arguments, **options)
    return await asyncio.to_thread(action, *arguments, **options)


class QueryCache:
    """What queries have answered since the last change."""

    def __init__(self) -> None:
        self._found: dict[Hashable, asyncio.Task[object]] = {}

    def forget(self) -> None:
        """Something has changed: query anew."""
        self._found.clear()

    async def get(self, key: Hashable, query: Callable[..., object], *arguments: Hashable) -> object:
        task = self._found.get(key)
        if task is None:
            task = self._found[key] = asyncio.create_task(off_the_loop(query, *arguments))
        try:
            return await asyncio.shield(task)  # a page that leaves takes the answer from nobody
        except Exception:
            if self._found.get(key) is task:
                del self._found[key]
            raise


_SHARED: ContextVar[QueryCache | None] = ContextVar("query_cache", default=None)


@contextmanager
def shared(cache: QueryCache) -> Iterator[None]:
    """Within it, `run_query` shares answers. What a user has just done is not in them: then the page asks by itself."""
    before = _SHARED.set(cache)
    try:
        yield
    finally:
        _SHARED.reset(before)


@overload
async def run_query(
    query: Callable[Asked, Awaitable[Found]], *arguments: Asked.args, **options: Asked.kwargs
) -> Found: ...
@overload
async def run_query(query: Callable[Asked, Found], *arguments: Asked.args, **options: Asked.kwargs) -> Found: ...
async def run_query(query: Callable[..., object], *arguments: object, **options: object) -> object:
    """What a service answers, off the event loop. It may be others' too: do not change it."""
    cache = _SHARED.get()
    if cache is None or options:
        return await off_the_loop(query, *arguments, **options)
    return await cache.get((query, arguments), query, *arguments)
