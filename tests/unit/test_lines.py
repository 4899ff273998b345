"""How a driver of train functions and sweeps ends when it is told to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from submarine_ray.runner import lines
from submarine_ray.runner.process import ENDED_STATUS
from tests.conftest import wait_until


class Silent:
    """Ray, of which no actor answers."""

    def __getattr__(self, _name: str) -> Silent:
        return self

    def __call__(self, *_arguments: Any, **_options: Any) -> Silent:
        return self

    def get(self, _reference: Any, timeout: float | None = None) -> Any:
        raise TimeoutError(f"no answer within {timeout} seconds")


@pytest.fixture
def own_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_driver_ends_at_sigterm_even_if_ray_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, own_handler: None
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(lines, "ray", Silent())
    monkeypatch.setattr(lines.os, "_exit", ended.append)
    monkeypatch.setattr("threading.excepthook", lambda _: None)  # the thread's failure is part of the test
    writer = lines.LineWriter()
    writer.end_on_sigterm(30)
    os.kill(os.getpid(), signal.SIGTERM)
    wait_until(lambda: ended == [ENDED_STATUS], 10, "the driver to end")
    writer.close()  # or its thread would ask the real Ray
