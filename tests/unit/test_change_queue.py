"""What clusters tell of is gathered, and kept back while it is being worked on."""

from __future__ import annotations

import threading

import pytest

from submarine_ray.core.engine import change_queue
from submarine_ray.core.engine.change_queue import ChangeQueue


def test_changes_are_gathered_for_a_moment_and_then_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_queue, "GATHER_SECONDS", 0.05)
    woken = threading.Event()
    told = ChangeQueue(woken.set)
    told.add({"a"})
    told.add({"b", "a"})
    assert told.take() == []
    assert woken.wait(5)
    assert told.take() == ["a", "b"] and told.take() == []


def test_one_timer_wakes_for_all_that_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[tuple[float, bool]] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, _wake: object) -> None:
            self.seconds = seconds

        def start(self) -> None:
            timers.append((self.seconds, self.daemon))

    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(change_queue, "GATHER_SECONDS", 60.0)
    told = ChangeQueue(lambda: None)
    told.add({"a"})
    told.add({"b"})
    assert timers == [(60.0, True)]  # no service waits for it to end


def test_what_is_being_worked_on_is_told_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_queue, "GATHER_SECONDS", 0.0)
    told = ChangeQueue(lambda: None)
    told.hold(["a"])
    told.add({"a", "b"})
    assert told.take() == ["b"]
    assert told.let_go(["a"])
    assert told.take() == ["a"] and not told.let_go(["b"])


def test_the_next_to_work_on_it_may_begin_before_the_last_has_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_queue, "GATHER_SECONDS", 0.0)
    told = ChangeQueue(lambda: None)
    told.hold(["a"])
    told.hold(["a"])
    told.let_go(["a"])
    told.add({"a"})
    assert told.take() == []
    told.let_go(["a"])
    assert told.take() == ["a"]
