"""What the chaos test is made of: people who work, somebody who looks on, and what is done to the services meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import DBAPIError

from submarine_ray.cli import several
from submarine_ray.client.errors import ClientError
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.leases import Claimable
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.serving.tables import ServingRow
from tests.conftest import TOKEN, MariaDb, RunningPlatform, wait_until

SERVICES = 3
LEASE_SECONDS, SUSPENDED_SECONDS = 20, 60
ENDED = ("Succeeded", "Failed")
TABLES: tuple[type[Claimable], ...] = (ExperimentRow, NotebookRow, ServingRow, ClusterRow)
REFUSED = (ClientError, httpx.HTTPError)

Answer = TypeVar("Answer")
Row = tuple[str, str]
"""A table's name, and a row's key."""


@dataclass
class Outages:
    """When the database was away, or is: what is refused then is no fault."""

    is_one: bool = False
    ended: float = 0.0

    def cover(self, begun: float) -> bool:
        return self.is_one or begun < self.ended


@dataclass
class Work:
    """What users have begun: `known` experiments by number, and numbers whose POST was not answered."""

    platform: RunningPlatform
    marks: Path
    count: int
    known: dict[int, str] = field(default_factory=dict)
    unanswered: list[int] = field(default_factory=list)

    def submit_all(self) -> None:
        number = 0
        while len(self.known) < self.count:
            mark = self.marks / str(number)
            cmd = f"echo said {number}; echo run >> {mark}; sleep 0.{number % 10}; exit {int(number % 5 == 4)}"
            try:
                self.known[number] = self.platform.submit(cmd, resources="cpu=0.5")
            except REFUSED:  # it may have been written all the same: then it runs, once
                self.unanswered.append(number)
            number += 1
            time.sleep(1)  # people come one after the other

    def have_ended(self) -> bool:
        """Whether all have, and those too whose POST was not answered but written."""
        return all(one["status"] in ENDED for one in answered(self.platform.client.list_experiments))


class Reader(threading.Thread):
    """Somebody who looks all the time; what was refused while the database was there is kept."""

    def __init__(self, url: str, outages: Outages) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._outages = outages
        self._done = threading.Event()
        self.refused: list[str] = []
        self.answered = 0

    def run(self) -> None:
        while not self._done.wait(0.3):
            begun = time.monotonic()
            try:  # a client of its own each time: no cookie, no connection that is kept, and nothing is tried again
                client = ExperimentClient(self._url, TOKEN, patience=0)
                client.service.call("GET", "/api/v1/experiment?pageSize=5")
                self.answered += 1
            except REFUSED as failure:
                if not self._outages.cover(begun):
                    self.refused.append(f"{time.strftime('%X')} {type(failure).__name__}: {failure}")

    def end(self) -> None:
        self._done.set()
        self.join(60)


class Leases:
    """Who has which row in hand, as the database says."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_pre_ping=True)

    def of(self, name: str) -> dict[Row, tuple[str, int]]:
        """The tokens of a service's rows, and when its leases end, in ms since 1970."""
        found = {}
        with self._engine.connect() as connection:
            for table in TABLES:
                mine = table.lock_token.startswith(f"{name}:")
                for key, token, until in connection.execute(
                    select(table.key(), table.lock_token, table.lock_expires_ms).where(mine)
                ):
                    found[table.__tablename__, key] = (token, until)  # type: ignore[attr-defined]
        return found

    def are_at_rest(self) -> bool:
        """Whether there is nothing left to do for any experiment: its log is kept, and the cluster has forgotten it."""
        due = select(func.count()).where(ExperimentRow.next_check_ms.is_not(None))
        with self._engine.connect() as connection:
            return connection.scalar(due) == 0


@dataclass
class Services:
    """What is done to them."""

    platform: RunningPlatform
    mariadb: MariaDb
    outages: Outages
    url: str

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.url)

    def kill(self, number: int, down_seconds: float) -> None:
        os.kill(self._pid(number), signal.SIGKILL)
        time.sleep(down_seconds)
        self.platform.cli("up")

    def restart_database(self) -> None:
        self.outages.is_one = True
        self.mariadb.stop()
        time.sleep(2)
        self.mariadb.start()

        def all_are_well() -> bool:
            found = [several.one(self.platform.home, number).health for number in range(1, SERVICES + 1)]
            return all(one is not None and one["database"] == "up" for one in found)

        wait_until(all_are_well, 120, "all services have their database again")
        self.outages.ended, self.outages.is_one = time.monotonic(), False

    def suspend(self, number: int) -> float:
        """Stop one in the middle of its work for a minute; how long after the end of its lease another had the last of
        its rows, in leases.
        """
        pid = self._pid(number)
        name = _name(pid)

        def stopped_in_work() -> dict[Row, tuple[str, int]] | None:
            os.kill(pid, signal.SIGSTOP)
            if held := self.leases.of(name):
                return held
            os.kill(pid, signal.SIGCONT)
            return None

        held = wait_until(stopped_in_work, 120, "a moment at which it has work in hand")
        begun, late_ms = time.monotonic(), 0.0
        try:
            while held:
                assert time.monotonic() - begun < SUSPENDED_SECONDS, f"nobody has taken over {held}"
                time.sleep(0.1)
                still = self.leases.of(name)
                for row, (token, until) in list(held.items()):
                    if still.get(row, ("", 0))[0] != token:
                        late_ms = max(late_ms, time.time() * 1000 - until)
                        del held[row]
            time.sleep(max(0.0, SUSPENDED_SECONDS - (time.monotonic() - begun)))
        finally:
            os.kill(pid, signal.SIGCONT)
        return late_ms / 1000 / LEASE_SECONDS

    def _pid(self, number: int) -> int:
        process = several.one(self.platform.home, number).process
        assert process is not None
        return process.pid


def _name(pid: int) -> str:
    """The name that a service's leases bear: it holds the directory where that is written."""
    files = [file for file in Path(f"/proc/{pid}/fd").iterdir() if file.resolve().name == "service.lock"]
    return (files[0].resolve().parent / "instance").read_text().strip()


def answered(ask: Callable[[], Answer]) -> Answer:
    """What is answered in the end, however often it is refused before."""
    found: list[Any] = []

    def ask_again() -> bool:
        try:
            found.append(ask())
        except (*REFUSED, DBAPIError):
            return False
        return True

    wait_until(ask_again, 120, "an answer")
    return found[0]
