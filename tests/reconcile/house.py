"""A real platform whose background work is stepped by hand: its database is real, its clusters and the time are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core import clock
from submarine_ray.core.engine.engine import Bounds, Engine
from submarine_ray.core.engine.feature import Feature
from submarine_ray.core.leases import Lessee
from submarine_ray.core.settings import Settings
from submarine_ray.platform import Platform
from tests.reconcile.fakes import LEASE_MS, START_MS, ByHand
from tests.reconcile.jobs import FakeJobs

HouseT = TypeVar("HouseT", bound="House")


class House:
    """A platform that was never started, its clusters, and the time."""

    def __init__(self, home: Path) -> None:
        self.now_ms = START_MS
        self.settings = Settings(home=home)
        self.platform = Platform(self.settings)
        self.database = self.platform.database
        self.database.migrate()
        self.clusters = {"local": FakeJobs(), "far": FakeJobs()}
        self.platform.clusters.ensure_local()
        with self.database.session(write=True) as session:
            session.add(ClusterRow(name="far", kind="ray", address="http://127.0.0.1:9", created_ms=START_MS))
        self.platform.clusters._driver = lambda name, _row: self.driver(name)  # type: ignore[assignment,method-assign,return-value]
        self.platform.clusters.capabilities = lambda _name: Here()  # type: ignore[assignment,method-assign,return-value]

    def driver(self, name: str) -> FakeJobs:
        if name not in self.clusters:
            raise Unreachable(f"the cluster {name!r} was deleted")
        return self.clusters[name]


class Here:
    """Capabilities of this machine's cluster."""

    is_here = True


class Stepped:
    """A feature in one control service, whose workers and heartbeat are run by hand."""

    def __init__(self, house: House, feature: Feature[Any, Any, Any], name: str = "one", **bounds: int) -> None:
        self.house = house
        self.workers = ByHand()
        self.engine = Engine(feature, house.database, Lessee(name, LEASE_MS), Bounds(**bounds), self.workers)

    def work(self, seconds: int = 0) -> None:
        """Tick, and do all that is due now and in the next `seconds`."""
        for passed in range(seconds + 1):
            self.house.now_ms += 1_000 if passed else 0
            for _ in range(20):
                self.engine.tick()
                if not self.workers.work:
                    break
                self.workers.run()

    def die_in_its_step(self) -> None:
        """Claim what is due, look, decide, and never come to the steps."""
        self.engine.tick()
        for look in [*self.workers.work]:
            look()
        self.workers.work.clear()

    def work_beside(self, seconds: int) -> None:
        """As `work`, while a worker hangs that is still alive."""
        for _ in range(0, seconds, 10):
            self.engine.heartbeat()
            self.work(10)


@contextmanager
def stepped(made: HouseT, monkeypatch: pytest.MonkeyPatch) -> Iterator[HouseT]:
    """The house, at its own time."""
    with monkeypatch.context() as patched:
        patched.setattr(clock.CLOCK, "_even", lambda: made.now_ms)
        patched.setattr(clock.CLOCK, "_apart", 0)
        yield made
    made.database.close()
