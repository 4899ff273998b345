"""How the output of a train function reaches the job's log: whole, in order, each line under its replica's name.

Ray's own way (worker log files, tailed, de-duplicated, prefixed by process) is late, may lose the end, and names no
replica. Here a worker's output goes through a pipe to one actor, which the driver empties; what the driver has to tell
all workers, that they are to end, goes the same way back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray

from submarine_ray.runner import output
from submarine_ray.runner.process import ENDED_STATUS

EMPTY_SECONDS = 0.2
END_SECONDS = 5.0
ANSWER_SECONDS = 10.0  # of the actor that holds the lines
# How often workers ask whether they are to end, and how long what they reported last takes to be stored.
ASK_SECONDS = 1.0
STORE_SECONDS = 1.0
# What workers are told: that all are to end, or that one is stopped and its process goes on to others.
END, STOP = "end", "stop"


class LineSink:
    """The actor between workers and driver."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._at_work: set[str] = set()
        self._stopped: set[str] = set()
        self._is_ending = False

    def put(self, replica: str, lines: list[str]) -> None:
        """Lines of a replica, written now."""
        self._lines.append(output.prefixed(replica, lines))

    def take(self) -> list[str]:
        """The lines with their prefixes, since the last call."""
        taken, self._lines = self._lines, []
        return taken

    def begin(self, worker: str) -> bool:
        """A worker has begun something that is to have its time of grace; whether it was stopped before."""
        self._at_work.add(worker)
        return worker in self._stopped

    def leave(self, worker: str) -> None:
        self._at_work.discard(worker)

    def at_work(self) -> int:
        return len(self._at_work)

    def end(self) -> None:
        """From now on all are to end."""
        self._is_ending = True

    def is_ending(self) -> bool:
        return self._is_ending

    def stop(self, worker: str) -> None:
        """From now on this worker alone is to end."""
        self._stopped.add(worker)

    def told(self, worker: str) -> str:
        """What a worker is to do: END, STOP or nothing."""
        return END if self._is_ending else STOP if worker in self._stopped else ""


class LineWriter:
    """The driver's end: a thread that writes what the sink holds to stdout, with their prefixes."""

    def __init__(self) -> None:
        self.sink: Any = ray.remote(LineSink).options(num_cpus=0).remote()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lines", daemon=True)
        self._thread.start()

    def close(self, patience: float | None = None) -> None:
        """Write the rest, in `patience` seconds where it matters."""
        self._closing.set()
        self._thread.join(patience)

    def end_on_sigterm(self, grace: float) -> None:
        """When the job is to end, tell the workers, and leave with them: `grace` seconds later at the latest."""

        def end() -> None:
            until = time.monotonic() + grace
            try:
                ray.get(self.sink.end.remote(), timeout=ANSWER_SECONDS)
                while time.monotonic() < until and ray.get(self.sink.at_work.remote(), timeout=ANSWER_SECONDS):
                    time.sleep(EMPTY_SECONDS)
                time.sleep(STORE_SECONDS)
                self.close(END_SECONDS)
            finally:  # whatever Ray answers: a driver that stays holds what its workers hold
                os._exit(ENDED_STATUS)  # the main thread waits for workers that have nothing left to do

        begun = threading.Thread(target=end, name="end", daemon=True)

        def begin(*_: Any) -> None:
            if begun.ident is None:
                begun.start()

        signal.signal(signal.SIGTERM, begin)

    def _work(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(EMPTY_SECONDS)
            taken = ray.get(self.sink.take.remote())
            if taken:
                sys.stdout.write("".join(taken))
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


def when_told(sink: Any, worker: Callable[[], str], stop: Callable[[str], None], end: Callable[[], None]) -> None:
    """Call `stop`, with its name, on a thread when the driver has stopped the worker that this process is now; and
    `end` once all are to end.
    """

    def ask() -> None:
        while True:
            name = worker()
            told = ray.get(sink.told.remote(name))
            if told == END:
                return end()
            if told == STOP:
                stop(name)
            time.sleep(ASK_SECONDS)

    threading.Thread(target=ask, name="told", daemon=True).start()


def leave_if_ending(sink: Any, worker: str) -> None:
    """Asked at each report, so that all workers of a group hear it at the same: one alone would wait for the others."""
    if ray.get(sink.is_ending.remote()):
        leave_for_good(sink, worker)


def leave_for_good(sink: Any, worker: str) -> None:
    """This worker has done the last that it was to do; its process ends with the driver."""
    ray.get(sink.leave.remote(worker))
    threading.Event().wait()


def _pump(reading: int, put: Callable[[list[str]], Any]) -> None:
    last = None

    def hand_on(lines: list[str]) -> None:
        nonlocal last
        last = put(lines)

    output.Pump(reading, hand_on).run()
    os.close(reading)
    if last is not None:
        ray.get(last)
