"""Endpoints step by step: what each cluster's Serve is told, by one control service and by two."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters.drivers.base import Capacity, Driver, Fence
from submarine_ray.clusters.drivers.fences import fenced
from submarine_ray.core.database import Database
from submarine_ray.core.leases import Lessee
from submarine_ray.serving import repository
from submarine_ray.serving.reconcile import ServingReconciler
from submarine_ray.serving.tables import EndpointRow, ServingRow
from submarine_ray.spec.quantities import Resources
from tests.reconcile.serve import CAPACITY, FakeServe


class Clusters:
    """What serving asks of ClusterService."""

    def __init__(self, serves: dict[str, FakeServe]) -> None:
        self._drivers: dict[str, Driver] = {name: serve.driver() for name, serve in serves.items()}

    def driver(self, name: str) -> Driver:
        return self._drivers[name]

    def capacity(self, name: str) -> Capacity:
        return CAPACITY

    def in_use(self, name: str) -> Resources:
        return Resources()

    def is_kubernetes(self, name: str) -> bool:
        return False

    def serve_answers(self, name: str, endpoint: str, path: str) -> bool:
        return True

    def serve_hosts(self, name: str, endpoint: str) -> list[str]:
        return []

    def serve_http_options(self, name: str) -> dict[str, object]:
        return {}


class House:
    """A database, clusters, and as many control services as asked for."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.serves = {"a": FakeServe(), "b": FakeServe()}

    @property
    def serve(self) -> FakeServe:
        return self.serves["a"]

    def service(self, name: str = "one", database: Database | None = None) -> ServingReconciler:
        clusters, lessee = Clusters(self.serves), Lessee(name, 30_000)
        return ServingReconciler(database or self.database, clusters, lessee, "http://x", Tokens(b"key"))  # type: ignore[arg-type]

    def pass_time(self, service: ServingReconciler) -> None:
        """Have a service look that has looked already."""
        service._look_after.clear()
        service.tick()

    def lose_lease(self, cluster: str = "a") -> None:
        with self.database.session(write=True) as session:
            row = session.get_one(ServingRow, cluster)
            row.lock_token = row.lock_expires_ms = None

    def ask(self, version: int, cluster: str = "a", replicas: int = 1) -> None:
        row = EndpointRow(
            name=f"m-{version}", model_name="m", model_version=version, model_uri=f"/m/{version}", cluster=cluster,
            replicas=replicas, cpu=0.5, memory=0, gpu=0, status="Creating", created_ms=0, changed_ms=0,
        )  # fmt: skip
        with self.database.session(write=True) as session:
            repository.add(session, row)

    def scale(self, version: int, replicas: int) -> None:
        with self.database.session(write=True) as session:
            row = session.get_one(EndpointRow, f"m-{version}")
            repository.change(session, row, replicas, row.each)

    def delete(self, version: int) -> None:
        with self.database.session(write=True) as session:
            repository.set_deleting(session, session.get_one(EndpointRow, f"m-{version}"))

    def statuses(self) -> dict[str, str]:
        with self.database.session() as session:
            return {row.name: row.status for row in repository.list_all(session)}

    def generation(self, cluster: str = "a") -> int:
        with self.database.session() as session:
            return session.get_one(ServingRow, cluster).generation

    def replicas(self, name: str) -> int:
        return int(self.serve.applications[name]["deployments"][0]["num_replicas"])


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database with all tables and no row."""
    made = Database(f"sqlite:///{tmp_path_factory.mktemp('serving')}/empty.db")
    made.migrate()
    made.close()
    return Path(made.url.removeprefix("sqlite:///"))


@pytest.fixture
def house(tmp_path: Path, empty: Path) -> Iterator[House]:
    shutil.copy(empty, tmp_path / "test.db")
    made = House(f"sqlite:///{tmp_path}/test.db")
    yield made
    made.database.close()


class Interrupted(Database):
    """Before its first write something else happens."""

    def __init__(self, url: str, happens: Callable[[], None]) -> None:
        super().__init__(url)
        self._happens = [happens]

    @contextmanager
    def session(self, write: bool = False) -> Iterator[Session]:
        if write and self._happens:
            self._happens.pop()()
        with super().session(write) as session:
            yield session


def test_a_service_does_not_remove_the_endpoint_that_another_has_just_added(house: House) -> None:
    other = house.service("other")
    house.ask(1)

    def meanwhile() -> None:
        house.ask(2)
        other.tick()

    house.service("one", Interrupted(house.database.url, meanwhile)).tick()
    assert house.serve.names() == ["m-1", "m-2"]


def test_an_older_wish_is_put_right_whenever_it_arrives(house: House) -> None:
    """A service is stopped (SIGSTOP) with its PUT under way, and goes on when another has put a newer one."""
    one, other = house.service("one"), house.service("other")
    house.ask(1)
    one.tick()

    def stopped() -> None:
        house.serve.before_put = lambda: None
        house.lose_lease()
        house.ask(3)
        house.delete(2)
        other.tick()
        assert house.serve.names() == ["m-1", "m-3"]

    house.ask(2)
    house.serve.before_put = stopped
    one.tick()
    assert house.serve.names() == ["m-1", "m-2"] and house.serve.number() < house.generation()
    house.pass_time(other)
    assert house.serve.names() == ["m-1", "m-3"] and house.serve.number() == house.generation()


@pytest.mark.parametrize("lost", ["the lease", "the wish"])
def test_who_has_lost_the_lease_puts_nothing(house: House, lost: str) -> None:
    one = house.service("one")
    house.ask(1)

    def look() -> None:
        house.serve.before_look = lambda: None
        house.lose_lease() if lost == "the lease" else house.ask(2)

    house.serve.before_look = look
    one.tick()
    assert house.serve.puts == []


def test_a_cluster_that_was_started_anew_is_told_again_and_one_with_everything_is_not(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.tick()
    house.pass_time(one)
    assert house.statuses() == {"m-1": "Running"} and house.serve.puts == [["m-1"]]
    house.serve.restart()
    house.pass_time(one)
    assert house.serve.puts == [["m-1"]] * 2


def test_what_users_start_with_serve_run_is_not_ours(house: House) -> None:
    house.serve.imperative = ["theirs"]
    one = house.service()
    one.tick()
    house.ask(1)
    one.tick()
    house.pass_time(one)
    house.delete(1)
    one.tick()
    house.pass_time(one)
    assert house.serve.puts == [["m-1"], []] and house.statuses() == {}


def test_a_database_that_was_restored_from_before_outdoes_what_it_finds(house: House) -> None:
    one = house.service()
    house.ask(1)
    house.serve.put(fenced({"applications": [{"name": "m-9"}]}, Fence(41)))
    one.tick()
    house.pass_time(one)
    assert house.serve.names() == ["m-1"] and house.serve.number() == house.generation() == 42
