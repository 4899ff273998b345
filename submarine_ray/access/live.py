"""WebSockets of somebody who is signed in: they end with the session, and do not outlive it."""

from __future__ import annotations

import asyncio
import contextlib

from submarine_ray.access.sessions import Session, Sessions
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.http import App, Message, Receive, Scope, Send

LOOK_SECONDS = 30.0  # for sessions that expire, or that another service of the same database has ended
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


async def run(app: App, scope: Scope, receive: Receive, send: Send, session: Session, sessions: Sessions) -> None:
    """Run `app` for one WebSocket, as long as the session lasts."""
    closed = False

    async def guarded(message: Message) -> None:
        if not closed:
            await send(message)

    with sessions.watched(session) as ended:
        running = asyncio.ensure_future(app(scope, receive, guarded))
        while not running.done() and await _lasts(running, ended, session, sessions):
            pass
        if not running.done():
            closed = True
            with contextlib.suppress(Exception):  # the client may have gone in this moment
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "signed out"})
        await running


async def _lasts(running: asyncio.Future[None], ended: asyncio.Event, session: Session, sessions: Sessions) -> bool:
    """Wait for the end of either, or for a while; whether the session is still there."""
    waiting = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((running, waiting), timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if running.done() or ended.is_set():
            return not ended.is_set()
        found = await sessions.of_id(session.id)
    except DatabaseUnavailable:
        return True  # nobody is thrown out of a page because the database restarts
    finally:
        waiting.cancel()
    return found is not None
