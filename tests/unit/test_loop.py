"""The loop of ticks: when the next one comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from submarine_ray.core import loop
from submarine_ray.core.loop import Loop

SECONDS = 10.0


class Ticks:
    """Counts ticks; each answers `pause`."""

    def __init__(self) -> None:
        self.pause = 3600.0
        self.count = 0
        self.during = lambda: None
        self._ended = threading.Semaphore(0)

    def __call__(self) -> float:
        self.count += 1
        self.during()
        self._ended.release()
        return self.pause

    def wait(self) -> None:
        assert self._ended.acquire(timeout=SECONDS)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticks]:
    monkeypatch.setattr(loop, "LONGEST_PAUSE", 3600.0)
    return Ticks()


@pytest.fixture
def running(ticks: Ticks) -> Iterator[Loop]:
    made = Loop("test", ticks)
    made.start()
    ticks.wait()
    yield made
    made.stop()


def test_a_wake_for_later_costs_no_tick_before(ticks: Ticks, running: Loop) -> None:
    running.wake(1800)
    running.wake(900)
    running.wake(0.05)
    ticks.wait()
    running.wake()
    ticks.wait()
    assert ticks.count == 3


def test_a_wake_during_a_tick_is_not_passed_over(ticks: Ticks, running: Loop) -> None:
    def once() -> None:
        ticks.during = lambda: None
        running.wake(0.01)

    ticks.during = once
    running.wake()
    ticks.wait()
    ticks.wait()
    assert ticks.count == 3


def test_what_many_ask_for_in_a_moment_is_done_by_few_ticks(ticks: Ticks, running: Loop) -> None:
    begun = time.monotonic()
    for _ in range(500):
        running.wake()
        time.sleep(0.0002)  # the loop's thread has its turn between two wakes
    ticks.wait()
    assert ticks.count <= 3 + (time.monotonic() - begun) / loop.APART


def test_a_loop_that_sleeps_stops_at_once(ticks: Ticks) -> None:
    made = Loop("test", ticks)
    made.start()
    ticks.wait()
    made.stop()
    assert not made._thread.is_alive() and ticks.count == 1
