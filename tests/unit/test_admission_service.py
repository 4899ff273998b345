"""Admission over the rows of experiments and notebooks: what it remembers, and how it is said."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from submarine_ray.admission.decide import MAX_OVERTAKEN, Demand
from submarine_ray.admission.explain import Holder
from submarine_ray.admission.service import PATIENT_LOOK, Admission
from submarine_ray.admission.tables import AdmissionRow
from submarine_ray.clusters import repository as clusters
from submarine_ray.clusters.drivers.base import Capacity
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core import sealed
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database, Session
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments import repository as experiments
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.spec.quantities import GIB, Resources

FOUR = Resources(4, 8 * GIB, 1)


class Clusters:
    """A registry with one cluster."""

    total: Resources | None = FOUR
    starting = 8

    def capacity(self, name: str) -> Capacity:
        return Capacity("head", self.total, self.total, starting=self.starting)

    def lock(self, session: Session, name: str) -> bool:
        return clusters.lock(session, name)


class Experiments:
    """As the service of experiments answers, from its table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def holders(self, cluster: str) -> list[Holder]:
        with self._database.session() as session:
            rows = experiments.active(session, cluster)
        return [Holder.of(row.demand, starting=row.status == Status.CREATED) for row in rows]

    def waiting(self, cluster: str, within: Resources, limit: int) -> list[Demand]:
        with self._database.session() as session:
            return [row.demand for row in experiments.waiting(session, cluster, within, limit)]

    def still_waiting(self, ids: Collection[str]) -> list[Demand]:
        with self._database.session() as session:
            return [row.demand for row in experiments.still_waiting(session, ids)]


class Endpoints:
    """What Serve holds."""

    held: Sequence[Holder] = ()

    def holders(self, cluster: str) -> list[Holder]:
        return list(self.held)

    def waiting(self, cluster: str, within: Resources, limit: int) -> list[Demand]:
        return []

    def still_waiting(self, ids: Collection[str]) -> list[Demand]:
        return []


class World:
    """One database, and as many control services as a test wants."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clusters = Clusters()
        self.endpoints = Endpoints()
        self.count = 0
        with database.session(write=True) as session:
            session.add(ClusterRow(name="local", kind="local", created_ms=0))
        self.admission = self.service()

    def service(self) -> Admission:
        made = Admission(self.database, self.clusters)  # type: ignore[arg-type]
        for claimant in (Experiments(self.database), self.endpoints):
            made.add_claimant(claimant)
        return made

    def ask(self, id: str, cpu: float = 1, gpu: float = 0, units: int | None = 1, **more: Any) -> Demand:
        self.count += 1
        values = {
            "id": id, "uid": "u", "name": "n", "framework": "Shell", "cluster": "local", "spec": "{}", "generation": 1,
            "wanted": "run", "status": "Accepted", "accepted_ms": self.count, "next_check_ms": due_ms(),
            "superseded": "", "demand_cpu": cpu, "demand_memory": 0, "demand_gpu": gpu, "units": units,
        } | more  # fmt: skip
        row = ExperimentRow(**values)
        with self.database.session(write=True) as session:
            session.add(row)
        return row.demand

    def becomes(self, id: str, **values: Any) -> Demand:
        with self.database.session(write=True) as session:
            row = session.get(ExperimentRow, id)
            assert row is not None
            for name, value in values.items():
                setattr(row, name, value)
        return row.demand

    def book(self) -> dict[str, int]:
        with self.database.session() as session:
            return {row.id: row.units for row in session.query(AdmissionRow)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    sealed.use(database.engine, SecretBox(tmp_path / "key"))
    database.migrate()
    yield World(database)
    database.close()


def test_what_is_admitted_has_its_room_until_it_holds_it_and_no_longer(world: World) -> None:
    first, second = world.ask("e-1", 3), world.ask("e-2", 3)
    assert world.admission.admit("local", [first, second]) == {"e-1": 1}
    assert world.service().admit("local", [second]) == {}  # the room is taken, though nothing runs yet
    assert world.service().admit("local", [first]) == {"e-1": 1}  # after a crash: the same again
    assert world.admission.in_use("local") == Resources(3)
    world.becomes("e-1", status="Created")
    assert world.admission.in_use("local") == Resources(3)  # once, not twice
    world.becomes("e-1", status="Succeeded")
    assert world.admission.admit("local", [second]) == {"e-2": 1} and world.book() == {"e-2": 1}
    world.becomes("e-2", wanted="stop")
    assert world.admission.in_use("local") == Resources()


def test_one_that_is_stopped_or_fails_again_and_again_gives_its_room_back(world: World) -> None:
    for id, change in (("e-1", {"wanted": "stop"}), ("e-2", {"next_check_ms": due_ms() + 60_000})):
        assert world.admission.admit("local", [world.ask(id, 4)]) == {id: 1}
        world.becomes(id, **change)
    assert world.admission.admit("local", [world.ask("e-3", 4)]) == {"e-3": 1}
    assert world.book() == {"e-3": 1}


def test_a_new_spec_is_decided_anew(world: World) -> None:
    assert world.admission.admit("local", [world.ask("e-1", 1)])
    larger = world.becomes("e-1", demand_cpu=5)
    assert world.admission.admit("local", [larger]) == {}
    assert world.admission.admit("local", [world.ask("e-2", 4)]) == {"e-2": 1}


def test_what_can_never_start_now_holds_up_nobody(world: World) -> None:
    for n in range(3 * PATIENT_LOOK):
        world.ask(f"big-{n}", 99)  # queue: true
        world.ask(f"gpu-{n}", 1, gpu=1)
    world.endpoints.held = [Holder("endpoint resnet 1", Resources(gpu=0.7))]
    small = [world.ask(f"e-{n}") for n in range(4)]
    assert world.admission.admit("local", small) == {one.id: 1 for one in small}
    said = world.admission.why_waiting("local", Resources(1, 0, 1), "gpu-0")
    assert "needs 1 GPU; 0.3 of 1 free; held by endpoint resnet 1 (0.7)" in said


def test_a_big_one_gets_its_turn_and_others_are_told(world: World) -> None:
    world.endpoints.held = [Holder("experiment other", Resources(1), "other", ends=True)]
    big = world.ask("big", 4)
    assert world.admission.admit("local", [big]) == {}
    for n in range(MAX_OVERTAKEN):
        assert world.admission.admit("local", [world.ask(f"e-{n}")]) == {f"e-{n}": 1}
        world.becomes(f"e-{n}", status="Succeeded")
    late = world.ask("late")
    assert world.admission.admit("local", [late]) == {}
    said = world.admission.why_waiting("local", late.unit, "late")
    assert said == (
        "Waiting for room on cluster 'local': room is kept for big, which later ones have overtaken 8 times."
    )
    world.endpoints.held = ()
    assert world.admission.next_in_line("local") == ["big"]
    assert world.admission.admit("local", [late]) == {} and world.admission.admit("local", [big]) == {"big": 1}


def test_a_sweep_starts_with_what_is_free_and_holds_no_more(world: World) -> None:
    assert world.admission.admit("local", [world.ask("e-1", 1)]) == {"e-1": 1}
    sweep = world.ask("sweep", 1, units=10)
    assert world.admission.admit("local", [sweep]) == {"sweep": 3}
    world.becomes("e-1", status="Succeeded")
    world.becomes("sweep", status="Running")
    assert world.admission.in_use("local") == Resources(3)
    again = world.becomes("sweep", status="Accepted")  # a retry keeps its room
    assert world.admission.admit("local", [again]) == {"sweep": 3}


def test_no_more_start_together_than_the_cluster_can_bear(world: World) -> None:
    world.clusters.starting = 2
    asked = [world.ask(f"e-{n}", 0.1) for n in range(3)]
    assert world.admission.admit("local", asked) == {"e-0": 1, "e-1": 1}
    assert world.admission.why_waiting("local", asked[2].unit, "e-2").endswith(": others are starting at this moment.")
    world.becomes("e-0", status="Running")
    assert world.admission.admit("local", asked[2:]) == {"e-2": 1}


def test_where_there_is_no_bound_all_start_and_nothing_is_written(world: World) -> None:
    world.clusters.total = None
    assert world.admission.admit("local", [world.ask("e-1", 999), world.ask("e-2", 1, units=5)]) == {"e-1": 1, "e-2": 5}
    assert world.book() == {} and world.admission.next_in_line("local") == []


def test_rows_from_before_there_was_admission_start_whole(world: World) -> None:
    assert world.admission.admit("local", [world.ask("e-1", 3, units=None)]) == {"e-1": 1}
    assert world.admission.in_use("local") == Resources(3)


def test_two_services_never_let_two_start_where_one_fits(world: World) -> None:
    """Each asks for its own, at the same moment, again and again."""
    services = [world.service() for _ in range(3)]
    for turn in range(10):
        asked = [world.ask(f"e-{turn}-{n}", 3) for n in range(3)]
        barrier, got = threading.Barrier(3), SimpleNamespace(ids=[])

        def work(n: int, asked: list[Demand] = asked, barrier: threading.Barrier = barrier, got: Any = got) -> None:
            barrier.wait()
            got.ids += services[n].admit("local", [asked[n]])

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got.ids) <= 1
        for n in range(3):
            world.becomes(f"e-{turn}-{n}", status="Succeeded")
