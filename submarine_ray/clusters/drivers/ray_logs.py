"""Logs of a Ray cluster's jobs over HTTP, in pieces.

Source: Ray 2.60's `GET /api/v0/logs/file` (a stream of 64 KiB pieces, `ray/dashboard/modules/state/state_head.py`), and
its Jobs API, whose answer is the whole log in one JSON document.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from urllib.parse import quote

import httpx
import websockets

from submarine_ray.clusters.drivers.activity import aside
from submarine_ray.clusters.drivers.base import LogBeganAnew, UnknownJob, Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.core.outgoing import WebSocket, trusted, websocket_target

PIECE = 65_536
LONGEST_DOCUMENT = 32 * 2**20  # of a log that cannot be had in pieces
LONGEST_MESSAGE = 16 * 2**20
STREAM_SECONDS = 3600  # Ray's own limit for a whole stream


def read(
    http: httpx.Client, call: Callable[..., httpx.Response], submission_id: str, offset: int, patience: float
) -> Iterator[bytes]:
    """What a job has written so far, from a byte on. `call` asks as `http` does, and raises Unreachable.

    Raises UnknownJob, Unreachable, LogBeganAnew.
    """
    job = quote(submission_id, safe="")
    if call("GET", f"/api/jobs/{job}", timeout=patience).status_code == 404:
        raise UnknownJob(submission_id)
    asked: dict[str, str | int] = {"submission_id": submission_id, "lines": -1, "timeout": STREAM_SECONDS}
    try:
        with http.stream("GET", "/api/v0/logs/file", params=asked, timeout=patience) as answer:
            if answer.status_code == 200:
                yield from _from(answer.iter_bytes(PIECE), offset, submission_id)
                return
        # It has no file yet, or its node's agent does not answer.
        with http.stream("GET", f"/api/jobs/{job}/logs", timeout=patience) as answer:
            if answer.status_code == 404:
                raise UnknownJob(submission_id)
            if answer.status_code != 200:
                raise Unreachable(f"HTTP {answer.status_code} to the log of {submission_id}")
            document = json.loads(_bounded(answer.iter_bytes(PIECE), submission_id))
    except httpx.HTTPError as failure:
        raise Unreachable(f"the log of {submission_id} broke off: {failure or type(failure).__name__}") from failure
    yield from _from([str(document["logs"] or "").encode()], offset, submission_id)


def _from(pieces: Iterable[bytes], offset: int, submission_id: str) -> Iterator[bytes]:
    """The pieces without their first `offset` bytes."""
    left = offset
    for piece in pieces:
        if fresh := piece[left:]:
            yield fresh
        left -= len(piece) - len(fresh)
    if left:
        raise LogBeganAnew(submission_id)


def _bounded(pieces: Iterable[bytes], submission_id: str) -> bytes:
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > LONGEST_DOCUMENT:
            raise Unreachable(
                f"the log of {submission_id} is larger than {LONGEST_DOCUMENT} bytes, and its cluster does not give it "
                "in pieces now"
            )
    return bytes(found)


async def follow(at: Dashboard, submission_id: str, skip: int) -> AsyncIterator[bytes]:
    """What a job has written after `skip` lines and goes on to write. Raises Unreachable."""
    secure = at.url.startswith("https")
    base = f"{'wss' if secure else 'ws'}://{at.url.split('://', 1)[1]}"
    try:
        async with WebSocket(
            f"{base}/api/jobs/{quote(submission_id, safe='')}/logs/tail",
            additional_headers=dict(await aside(at.headers)),
            open_timeout=10,
            max_size=LONGEST_MESSAGE,
            ssl=(at.tls or trusted()) if secure else None,
            proxy=None,
            **await websocket_target(at.url, at.outgoing),
        ) as stream:
            async for message in stream:
                piece = message.encode() if isinstance(message, str) else message
                known = min(skip, piece.count(b"\n"))
                if known:
                    skip -= known
                    piece = piece.split(b"\n", known)[-1]
                if piece and not skip:
                    yield piece
    except (OSError, TimeoutError, websockets.WebSocketException) as failure:
        raise Unreachable(f"the log stream of {submission_id} broke: {failure}") from failure
