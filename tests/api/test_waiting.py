"""Clusters that never answer: who asks them waits, nobody else does."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from pathlib import Path

import httpx
import pytest

from submarine_ray.core.errors import Busy
from submarine_ray.core.waiting import Waiting
from tests.conftest import run
from tests.service import serving, silence

CHECKS = 120


async def _seconds(client: httpx.AsyncClient, times: int) -> float:
    """How long a request takes that asks no cluster: the median."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        assert (await client.get("/api/v1/experiment")).status_code == 200
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def test_a_silent_cluster_makes_nobody_wait_but_those_who_ask_it(tmp_path: Path) -> None:
    async def ask(url: str, address: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            idle = await _seconds(client, 20)
            made = await client.post("/api/v1/cluster", json={"name": "silent", "kind": "ray", "address": address})
            assert made.status_code == 200, made.text
            checks = [asyncio.create_task(client.post("/api/v1/cluster/silent/check")) for _ in range(CHECKS)]
            refused: list[httpx.Response] = []
            for done in asyncio.as_completed(checks):
                refused.append(await done)
                if len(refused) == CHECKS - 20:
                    break
            busy = await _seconds(client, 20)
            assert not all(check.done() for check in checks), "the checks were over before anything was measured"
            assert {answer.status_code for answer in refused} == {503}
            assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
            assert "silent" in refused[0].json()["message"]
            assert busy < 10 * idle, f"{busy:.3f} s beside {idle:.3f} s"
            for check in checks:
                check.cancel()
            await asyncio.gather(*checks, return_exceptions=True)

    # Silent for as long as the measurement takes; then the silence ends first, and with it what waits.
    with serving(tmp_path, cluster_timeout_seconds=60.0) as (url, _platform), silence() as (address, _):
        run(ask(url, address))


def test_others_are_asked_while_one_is_silent() -> None:
    release = threading.Event()

    async def ask() -> None:
        waiting = Waiting(workers=4, at_once=2, queue=1)
        silent = [asyncio.create_task(waiting.ask("silent", release.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await waiting.ask("silent", print)
        assert await waiting.ask("other", lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await waiting.ask("other", lambda: 1 // 0)
        silent[2].cancel()  # it gives its place in the queue to another
        await asyncio.sleep(0)
        last = asyncio.create_task(waiting.ask("silent", lambda: "last"))
        await asyncio.sleep(0)
        release.set()
        assert await last == "last"
        assert await asyncio.gather(*silent[:2]) == [True, True]
        waiting.close()

    run(ask())
