"""The upkeep of clusters step by step: who looks, what is noted, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from submarine_ray.clusters import repository
from submarine_ray.clusters.drivers.base import Capacity, Unreachable
from submarine_ray.clusters.perform import Look, Upkeep
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import Conflict, NotFound
from submarine_ray.core.sealed import Kept as Sealed
from submarine_ray.core.settings import Settings
from submarine_ray.platform import Platform
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.quantities import Resources
from tests.conftest import spec
from tests.reconcile.fakes import LEASE_MS
from tests.reconcile.house import House, Stepped, stepped

SIZE = Resources(8, 2**34, 0)
FAR = Capacity("head", SIZE, SIZE, frozenset({"node"}))


class Kept(House):
    """With two clusters: the platform's own, and one far away."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.service = self.platform.clusters

    def upkeep(self, name: str = "one") -> Stepped:
        return Stepped(self, Upkeep(self.service), name)

    def shown(self, name: str) -> dict[str, Any]:
        return self.service.get(name)

    def row(self, name: str) -> ClusterRow:
        with self.database.session() as session:
            return session.get_one(ClusterRow, name)

    def change(self, name: str, **values: Any) -> None:
        with self.database.session(write=True) as session:
            repository.change(session, name, values)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with stepped(Kept(tmp_path), monkeypatch) as made:
        made.change("far")  # due at the test's time
        made.change("local")
        yield made


def test_one_service_looks_and_all_read_what_it_noted(house: Kept) -> None:
    one, other = house.upkeep(), house.upkeep("other")
    for _ in range(30):
        house.now_ms += 1_000
        one.work()
        other.work()
    far = house.clusters["far"]
    assert 5 <= far.maintained == far.asked <= 7
    assert house.shown("far").healthy and house.shown("far").resources["cpu"] == 8
    far.is_away = True
    noted = house.service.capacity("far")
    assert noted == FAR and far.asked <= 7


def test_what_nobody_has_noted_lately_is_asked_for(house: Kept) -> None:
    house.upkeep().work()
    far = house.clusters["far"]
    far.cpu, asked = 16, far.asked
    assert house.service.capacity("far").total == FAR.total and far.asked == asked
    assert house.service.capacity("far", fresh=True).total == far.capacity().total
    house.now_ms += 11_000
    assert house.service.capacity("far").total == far.capacity().total


def test_looking_never_writes(house: Kept) -> None:
    house.clusters["far"].is_away = True
    with pytest.raises(Unreachable):
        house.service.capacity("far")
    assert house.row("far").healthy is None and house.row("far").message is None


def test_an_outage_is_shown_until_it_ends_and_what_was_seen_stays(house: Kept) -> None:
    upkeep, far = house.upkeep(), house.clusters["far"]
    upkeep.work()
    far.is_away = True
    upkeep.work(seconds=20)
    shown = house.shown("far")
    assert not shown.healthy and shown.message == "it does not answer" and shown.resources["cpu"] == 8
    assert house.shown("local").healthy
    far.is_away = False
    upkeep.work(seconds=5)
    assert house.shown("far").healthy and house.shown("far").message is None


def test_a_mistake_of_ours_about_one_is_shown_there_and_keeps_no_other_back(house: Kept) -> None:
    def broken() -> None:
        raise KeyError("a mistake")

    house.clusters["far"].maintaining = broken
    house.upkeep().work(seconds=10)
    assert "internal error (KeyError)" in house.shown("far").message
    assert house.shown("local").healthy


def test_a_cluster_that_hangs_for_a_minute_delays_no_other(house: Kept) -> None:
    upkeep, other = house.upkeep(), house.upkeep("other")
    looks = house.clusters["local"]

    def hang() -> None:
        house.clusters["far"].maintaining = lambda: None
        upkeep.work()
        before = looks.maintained
        for _ in range(6):
            upkeep.work_beside(seconds=10)
            other.work()  # nor does another service hang beside this one
        assert looks.maintained - before >= 10 and house.clusters["far"].maintained == 0

    house.clusters["far"].maintaining = hang
    upkeep.work()
    assert house.clusters["far"].maintained == 1 and house.shown("far").healthy


def test_another_service_looks_when_the_one_that_looked_has_died(house: Kept) -> None:
    one, other = house.upkeep(), house.upkeep("other")
    one.die_in_its_step()
    other.work(seconds=LEASE_MS // 1000 - 1)
    assert house.row("far").healthy is None
    other.work(seconds=2)
    assert house.row("far").healthy


def test_what_was_seen_of_a_registration_that_has_changed_is_not_noted(house: Kept) -> None:
    upkeep, far = house.upkeep(), house.clusters["far"]

    def changes() -> None:
        far.maintaining = lambda: None
        house.change("far", address="http://127.0.0.1:10")
        far.cpu = 16

    upkeep.work()
    house.now_ms += 5_000
    far.maintaining = changes
    upkeep.engine.tick()
    upkeep.workers.run()
    assert house.row("far").healthy is None
    upkeep.work()
    assert house.row("far").healthy and house.row("far").total_cpu == 16


def test_a_deleted_cluster_is_disposed_of_as_soon_as_it_answers_and_every_service_lets_go(house: Kept) -> None:
    one, other, far = house.upkeep(), house.upkeep("other"), house.clusters["far"]
    one.work()
    far.is_away = True
    assert house.service.delete("far").deleting
    one.work(seconds=10)
    assert "is being deleted" in house.shown("far").message and far.disposed == 0
    far.is_away = False
    other.work(seconds=6)
    assert far.disposed == 1
    with pytest.raises(NotFound):
        house.shown("far")


def test_a_service_closes_what_is_open_to_a_cluster_that_another_has_forgotten(house: Kept) -> None:
    upkeep, connections = house.upkeep(), house.service._connections
    connections.driver(house.row("far"))
    upkeep.work()
    assert connections.names() == {"far"}
    with house.database.session(write=True) as session:
        repository.remove(session, "far")
    upkeep.work()
    assert connections.names() == set()


def test_what_is_mended_there_carries_the_number_of_the_registration(house: Kept) -> None:
    upkeep, far = house.upkeep(), house.clusters["far"]
    upkeep.work()
    assert far.number == house.row("far").generation
    house.change("far")
    upkeep.work()
    assert far.number == house.row("far").generation
    far.number = 41  # the database was restored from before
    house.now_ms += 5_000
    upkeep.work()
    assert far.number == house.row("far").generation == 42 and house.shown("far").healthy


@pytest.mark.parametrize(("kind", "stored"), [("ray", "no JSON"), ("kuberay", "no JSON"),
                                              ("kuberay", '{"name": "old", "kind": "kuberay", "mode": "odd"}')])  # fmt: skip
def test_a_registration_that_cannot_be_read_fails_alone_and_says_why(tmp_path: Path, kind: str, stored: str) -> None:
    platform = Platform(Settings(home=tmp_path))  # type: ignore[arg-type]
    clusters = platform.clusters
    try:
        platform.database.migrate()
        clusters.ensure_local()
        with platform.database.session(write=True) as session:
            row = ClusterRow(name="old", kind=kind, created_ms=0, spec=Sealed(stored), address="http://127.0.0.1:9")
            session.add(row)
        assert [one.name for one in clusters.list_all()] == ["local", "old"] and len(clusters.all_seen()) == 2
        assert platform.admission.placements.place(ExperimentSpec.model_validate(spec())) == "local"
        if kind == "kuberay":
            noted = Upkeep(clusters).perform(row, Look(), None).values
            assert noted["healthy"] is False and "cannot be read by this version" in str(noted["message"])
            with pytest.raises(Conflict, match="register it anew"):
                platform.experiments.create(ExperimentSpec.model_validate(spec(cluster="old")))
            assert "cannot be read" in (clusters.delete("old").message or "")
        clusters.delete("old", force=True)
        assert [one.name for one in clusters.list_all()] == ["local"]
    finally:
        platform.database.close()
