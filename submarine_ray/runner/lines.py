"""How the output of a train function reaches the job's log: whole, in order, each line under its replica's name.

Ray's own way (worker log files, tailed, de-duplicated, prefixed by process) is late, may lose the end, and names no
replica. Here a worker's output goes through a pipe to one actor, which the driver empties.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray

EMPTY_SECONDS = 0.2
END_SECONDS = 5.0


class LineSink:
    """The actor between workers and driver."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []

    def put(self, replica: str, lines: list[str]) -> None:
        self._lines += [(replica, line) for line in lines]

    def take(self) -> list[tuple[str, str]]:
        taken, self._lines = self._lines, []
        return taken


class LineWriter:
    """The driver's end: a thread that writes what the sink holds to stdout, `[worker-1] ...`."""

    def __init__(self) -> None:
        self.sink: Any = ray.remote(LineSink).options(num_cpus=0).remote()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lines", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the rest."""
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(EMPTY_SECONDS)
            taken = ray.get(self.sink.take.remote())
            if taken:
                sys.stdout.write("".join(f"[{replica}] {line}\n" for replica, line in taken))
                sys.stdout.flush()


@contextlib.contextmanager
def captured(put: Callable[[list[str]], Any]) -> Iterator[None]:
    """Inside, all that this process and its children write goes to `put`, which gives a reference of Ray's; at the end,
    all of it has arrived.
    """
    reading, writing = os.pipe()
    kept = [os.dup(1), os.dup(2)]
    pump = threading.Thread(target=_pump, args=(reading, put), daemon=True)
    pump.start()
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.dup2(writing, number)
    os.close(writing)
    try:
        yield
    finally:
        for stream, number, before in ((sys.stdout, 1, kept[0]), (sys.stderr, 2, kept[1])):
            stream.flush()
            os.dup2(before, number)
            os.close(before)
        pump.join(END_SECONDS)  # a child that goes on writing must not hold up the worker's end


def _pump(reading: int, put: Callable[[list[str]], Any]) -> None:
    rest, last = b"", None
    while chunk := os.read(reading, 65_536):
        *whole, rest = (rest + chunk).split(b"\n")
        if whole:
            last = put([line.decode(errors="replace") for line in whole])
    if rest:
        last = put([rest.decode(errors="replace")])
    os.close(reading)
    if last is not None:
        ray.get(last)
