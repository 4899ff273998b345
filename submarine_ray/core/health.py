"""Health checks of the service. A thread runs them; requests get its last report, and hardly wait.

The report needs no sign-in, so it names no path.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy import BigInteger, String, insert, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.clock import CLOCK, now_ms
from submarine_ray.core.database import Database, Table
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.core.loop import Loop

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
FRESH_SECONDS = 2.0
PATIENCE_SECONDS = 1.0  # how long a request waits for a fresher report
STUCK_SECONDS = 15.0
IDLE_SECONDS = 180.0  # a loop may wait for several clusters in turn
FEW_FILES = 1000


class HeartbeatRow(Table):
    """Written at each look, one row for each service: a database that can be read may be unable to write."""

    __tablename__ = "heartbeat"

    service: Mapped[str] = mapped_column(String(100), primary_key=True)
    time_ms: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True)
class Report:
    """What a look has shown; `problems` are sentences for an operator."""

    at: float
    database: str = "up"
    can_write: bool = True
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Watched:
    """What is looked at. `databases` by what they are called; the first is written to. `free_bytes` of each of the
    `directories`, by what they hold, are to be free. `notes` adds what others know.
    """

    service: str
    databases: Mapping[str, Callable[[], Database | None]]
    directories: Mapping[str, Path]
    free_bytes: int
    loops: Sequence[Loop] = ()
    notes: Callable[[], list[str]] = field(default=list)


class Health:
    """The last report, and the thread that makes it."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._report = Report(time.monotonic())
        self._begun = time.monotonic()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        self._look()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    def report(self) -> Report:
        """What was seen last, at once."""
        silent = time.monotonic() - max(self._begun, self._report.at)
        if self._begun > self._report.at and silent > STUCK_SECONDS:
            said = f"The database has not answered for {silent:.0f} seconds."
            return Report(self._report.at, "down", False, (said, *self._report.problems))
        return self._report

    async def fresh(self) -> Report:
        """The same, after at most a second: not older than two, if it can be had by then."""
        until = time.monotonic() + PATIENCE_SECONDS
        self._wake.set() if time.monotonic() - self._report.at > FRESH_SECONDS else None
        while time.monotonic() - self._report.at > FRESH_SECONDS and time.monotonic() < until:
            await asyncio.sleep(0.02)
        return self.report()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            if not self._stopping.is_set():
                self._look()

    def _look(self) -> None:
        self._begun = time.monotonic()
        CLOCK.look()
        before, found = self._report, self._found()
        self._report = found
        for said in found.problems:
            if not any(said.split(" (")[0] == other.split(" (")[0] for other in before.problems):
                log.warning("health.problem", problem=said)
        if before.problems and not found.problems:
            log.info("health.well_again")

    def _found(self) -> Report:
        database, can_write, problems = "up", True, []
        for number, (name, get) in enumerate(self._watched.databases.items()):
            one = get()
            if one is None:
                continue  # it is starting
            lost = one.lost()
            if lost:
                problems.append(f"{name}: {lost}")
                can_write = False
            why = None if lost else self._write(one) if number == 0 else _read(one)
            if why:
                problems.append(f"{name} {why}")
                can_write = False
            if number == 0 and (lost or why):
                database = "lost" if lost else "up" if one.is_up() else "down"
        problems += [said for name, path in self._watched.directories.items() if (said := self._space(name, path))]
        problems += [said for loop in self._watched.loops if (said := _idle(loop))]
        return Report(time.monotonic(), database, can_write, (*problems, *self._watched.notes()))

    def _write(self, database: Database) -> str | None:
        row = {"service": self._watched.service, "time_ms": now_ms()}
        try:
            with database.session(write=True) as session:
                mine = update(HeartbeatRow).where(HeartbeatRow.service == row["service"])
                if not session.execute(mine.values(time_ms=row["time_ms"])).rowcount:  # type: ignore[attr-defined]
                    session.execute(insert(HeartbeatRow).values(**row))
        except (DatabaseUnavailable, SQLAlchemyError) as failure:
            return f"cannot be written to ({_cause(failure)})."
        return None

    def _space(self, name: str, directory: Path) -> str | None:
        try:
            there = os.statvfs(directory)
        except OSError as failure:
            return f"The directory of {name} cannot be looked at ({failure.strerror})."
        free = there.f_bavail * there.f_frsize
        if free < self._watched.free_bytes:
            return (
                f"The disk of {name} is nearly full ({free // 2**20} MiB are free; SUBMARINE_MIN_FREE_BYTES asks "
                f"for {self._watched.free_bytes // 2**20} MiB)."
            )
        if there.f_files and there.f_favail < FEW_FILES:
            return f"The disk of {name} has no room for more files ({there.f_favail} are left)."
        return None


def _read(database: Database) -> str | None:
    return None if database.is_up() else "does not answer."


def _idle(loop: Loop) -> str | None:
    silent = loop.silent_seconds()
    if silent is None or silent < IDLE_SECONDS:
        return None
    return f"The background work on {loop.name} has stood still for some time ({silent:.0f} seconds)."


def _cause(failure: BaseException) -> str:
    lines = str(failure.__cause__ or failure).splitlines() or [type(failure).__name__]
    return lines[0][:200]
