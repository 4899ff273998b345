"""What many pages look at because of one change is looked at once for all of them."""

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


class Looks:
    """What has been looked at since the last change."""

    def __init__(self) -> None:
        self._found: dict[Hashable, asyncio.Task[object]] = {}

    def forget(self) -> None:
        """Something has changed: look anew."""
        self._found.clear()

    async def at(self, key: Hashable, look: Callable[..., object], *arguments: Hashable) -> object:
        task = self._found.get(key)
        if task is None:
            task = self._found[key] = asyncio.create_task(off_the_loop(look, *arguments))
        try:
            return await asyncio.shield(task)  # a page that leaves takes the answer from nobody
        except Exception:
            if self._found.get(key) is task:
                del self._found[key]
            raise


_SHARED: ContextVar[Looks | None] = ContextVar("looks", default=None)


@contextmanager
def shared(looks: Looks) -> Iterator[None]:
    """Within it, `looked` shares with others. What a user has just done is not in it: then the page looks by itself."""
    before = _SHARED.set(looks)
    try:
        yield
    finally:
        _SHARED.reset(before)


@overload
async def looked(look: Callable[Asked, Awaitable[Found]], *arguments: Asked.args, **options: Asked.kwargs) -> Found: ...
@overload
async def looked(look: Callable[Asked, Found], *arguments: Asked.args, **options: Asked.kwargs) -> Found: ...
async def looked(look: Callable[..., object], *arguments: object, **options: object) -> object:
    """What a service answers, off the event loop. It may be others' too: do not change it."""
    looks = _SHARED.get()
    if looks is None or options:
        return await off_the_loop(look, *arguments, **options)
    return await looks.at((look, arguments), look, *arguments)
