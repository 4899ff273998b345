"""A load on one URL: wrk where it is installed, else processes of raw keep-alive connections. Loopback only."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 6


def requests_per_second(url: str, body: object, connections: int, seconds: int = SECONDS) -> float:
    """POST `body` over and over; successful answers a second."""
    if shutil.which("wrk"):
        return _wrk(url, json.dumps(body), connections, seconds)
    return asyncio.run(_own(url, json.dumps(body).encode(), connections, seconds))


def _wrk(url: str, body: str, connections: int, seconds: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "post.lua"
        script.write_text(
            f"wrk.method='POST'; wrk.headers['Content-Type']='application/json'; wrk.body={json.dumps(body)}"
        )
        command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    total = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return (total - (int(bad[1]) if bad else 0)) / seconds


async def _own(url: str, body: bytes, connections: int, seconds: int) -> float:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    end = time.monotonic() + seconds
    counts = await asyncio.gather(*(_connection(parts.hostname, parts.port, request, end) for _ in range(connections)))
    return sum(counts) / seconds


async def _connection(host: str | None, port: int | None, request: bytes, end: float) -> int:
    done = 0
    reader, writer = await asyncio.open_connection(host, port)
    while time.monotonic() < end:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        done += head.startswith(b"HTTP/1.1 200")
    writer.close()
    return done
