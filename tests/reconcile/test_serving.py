"""Endpoints step by step: what each cluster's Serve is told, by one control service and by two."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from submarine_ray.access.tokens import Tokens
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.drivers.base import Capacity, Driver, Fence
from submarine_ray.clusters.drivers.fences import fenced
from submarine_ray.clusters.drivers.kinds import Capabilities
from submarine_ray.core import events
from submarine_ray.core.clock import CLOCK, Clock
from submarine_ray.core.database import Database
from submarine_ray.core.engine.engine import Engine
from submarine_ray.core.leases import Lessee
from submarine_ray.serving import repository
from submarine_ray.serving.perform import Serving
from submarine_ray.serving.service import ServingService
from submarine_ray.serving.tables import EndpointRow, ServingRow, TrafficRow
from submarine_ray.serving.traffic import TrafficService
from submarine_ray.spec.quantities import Resources
from submarine_ray.spec.serving import TrafficSpec
from tests.reconcile.fakes import LEASE_MS, ByHand
from tests.reconcile.serve import CAPACITY, FakeServe


class Clusters:
    """What serving asks of ClusterService, and of its addresses."""

    def __init__(self, serves: dict[str, FakeServe]) -> None:
        self._serves = serves
        self.addresses = self
        self._drivers: dict[str, Driver] = {name: serve.driver() for name, serve in serves.items()}

    def driver(self, name: str) -> Driver:
        return self._drivers[name]

    def add_user(self, user: object) -> None:
        pass

    def serve_url(self, name: str, endpoint: str) -> str:
        return "http://serve"

    def capacity(self, name: str) -> Capacity:
        return CAPACITY

    def driver_and_capacity(self, name: str) -> tuple[Driver, Capacity]:
        return self.driver(name), CAPACITY

    def names(self) -> list[str]:
        return list(self._serves)

    def capabilities(self, name: str) -> Capabilities:
        return Capabilities(shares_serve=True)

    def serve_answers(self, name: str, endpoint: str, path: str) -> bool:
        return True

    def serve_hosts(self, name: str, endpoint: str) -> list[str]:
        return []

    def serve_http_options(self, name: str) -> dict[str, object]:
        return {}


class Service:
    """One control service, whose workers are run by hand."""

    def __init__(self, house: House, name: str) -> None:
        clock = Clock(lambda: house.now_ms, lambda: house.now_ms)
        clock.agree(house.now_ms)
        lessee = Lessee(name, LEASE_MS, own_clock=clock)
        clusters = Clusters(house.serves)
        admission = Admission(house.database, clusters)  # type: ignore[arg-type]
        feature = Serving(house.database, clusters, admission, lessee, "http://x", Tokens(b"key"))  # type: ignore[arg-type]
        self.house = house
        self.workers = ByHand()
        self.engine = Engine(feature, house.database, lessee, runner=self.workers)

    def work(self, seconds: float = 6) -> None:
        """Do all that is due now, and in the seconds that follow."""
        until = self.house.now_ms + int(seconds * 1000)
        while True:
            pause = int(self.engine.tick() * 1000)
            if self.workers.work:
                self.workers.run()
            elif self.house.now_ms + pause > until:
                return
            else:
                self.house.now_ms += pause


class House:
    """A database, two clusters, and as many control services as asked for."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.now_ms = CLOCK.due_ms()
        self.serves = {"a": FakeServe(), "b": FakeServe()}
        self.serve = self.serves["a"]

    def service(self, name: str = "one") -> Service:
        return Service(self, name)

    def ask(self, version: int, cluster: str = "a", replicas: int = 1, cpu: float = 0.5) -> None:
        row = EndpointRow(
            name=f"m-{version}", model_name="m", model_version=version, model_uri=f"/m/{version}", cluster=cluster,
            replicas=replicas, cpu=cpu, memory=0, gpu=0, status="Creating", created_ms=0, changed_ms=0,
        )  # fmt: skip
        with self._changing(cluster) as session:
            repository.add(session, row)

    def scale(self, version: int, replicas: int, cpu: float = 0.5) -> None:
        with self._changing() as session:
            row = session.get_one(EndpointRow, f"m-{version}")
            repository.change(session, row, replicas, Resources(cpu))

    def delete(self, version: int) -> None:
        with self._changing() as session:
            repository.set_deleting(session, session.get_one(EndpointRow, f"m-{version}"))

    @contextmanager
    def _changing(self, cluster: str = "a") -> Iterator[Session]:
        """A user's transaction."""
        with self.database.session(write=True) as session:
            yield session
        self.at_once(cluster)

    def at_once(self, cluster: str = "a") -> None:
        """What users have changed is due, by this house's clock."""
        with self.database.session(write=True) as session:
            session.get_one(ServingRow, cluster).next_check_ms = self.now_ms

    def happen(self, services: list[Service], what: str, number: int) -> None:
        """One of the things that may come in any order."""
        there = self.statuses().get(f"m-{number}")
        if what == "ask" and there is None:
            self.ask(number)
        elif what == "scale" and there:
            self.scale(number, 1 + self.generation() % 3)
        elif what == "delete" and there:
            self.delete(number)
        elif what == "restart":
            self.serve.applications = {}
        elif what == "tick":
            services[number].engine.tick()
        elif what == "run" and services[number].workers.work:
            services[number].workers.work.pop(0)()
        elif what == "beat":
            services[number].engine.heartbeat()
        elif what == "wait":
            self.now_ms += number
        elif what == "stopped in a PUT":
            self.serve.before_put = partial(self._stopped, services[1 - number])

    def _stopped(self, other: Service) -> None:
        """Whoever was about to PUT is stopped, and another takes over."""
        self.serve.before_put = lambda: None
        self.stop()
        other.work()
        self.serve.is_late = True

    def rows(self) -> list[EndpointRow]:
        with self.database.session() as session:
            return repository.list_all(session)

    def statuses(self) -> dict[str, str]:
        return {row.name: row.status for row in self.rows()}

    def history(self, name: str) -> list[str]:
        with self.database.session() as session:
            return [one.reason for one in events.history(session, repository.subject(name))]

    def generation(self, cluster: str = "a") -> int:
        with self.database.session() as session:
            return session.get_one(ServingRow, cluster).generation

    def stop(self) -> None:
        """Whoever holds a lease is stopped for longer than it lasts."""
        self.now_ms += LEASE_MS + 1


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


def test_an_endpoint_comes_runs_is_scaled_and_goes(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.work()
    assert house.statuses() == {"m-1": "Running"} and house.history("m-1") == ["Asked", "Running"]
    house.scale(1, 3)
    one.work()
    assert house.serve.replicas("m-1") == 3 and house.history("m-1")[2:] == ["Scaled", "Running"]
    house.delete(1)
    one.work()
    assert house.statuses() == {} and house.serve.names() == []
    assert len(house.serve.puts) == 3  # each change once


def test_a_service_does_not_remove_the_endpoint_that_another_has_just_added(house: House) -> None:
    one, other = house.service("one"), house.service("other")
    house.ask(1)
    one.engine.tick()  # it holds the row; its worker has not looked yet
    house.stop()
    house.ask(2)
    other.work()
    assert house.serve.names() == ["m-1", "m-2"]
    one.work()
    assert house.serve.puts == [["m-1", "m-2"]]


@pytest.mark.parametrize("when", ["before the look", "after the look"])
def test_a_stopped_service_that_goes_on_puts_nothing_old(house: House, when: str) -> None:
    """Stopped (SIGSTOP) with its lease, and going on (SIGCONT) when another has put a newer generation."""
    one, other = house.service("one"), house.service("other")
    house.ask(1)

    def stopped() -> None:
        house.serve.before_look = lambda: None
        house.stop()
        house.ask(2)
        other.work()

    if when == "before the look":
        house.serve.before_look = stopped
    else:
        one.engine.tick()
        one.workers.work.pop(0)()  # the look: the PUT waits for a worker
        stopped()
    one.work()
    assert house.serve.puts == [["m-1", "m-2"]] and set(house.statuses().values()) == {"Running"}


def test_an_older_generation_is_put_right_whenever_it_arrives(house: House) -> None:
    """The service is stopped in the one place where nobody can see it: between its last look and its PUT."""
    one, other = house.service("one"), house.service("other")
    house.ask(1)
    one.work()

    def stopped() -> None:
        house.serve.before_put = lambda: None
        house.stop()
        house.ask(3)
        house.delete(2)
        other.work()
        assert house.serve.names() == ["m-1", "m-3"]

    house.ask(2)
    house.serve.before_put = stopped
    one.engine.tick()
    one.workers.run()
    assert house.serve.names() == ["m-1", "m-2"] and house.serve.number() < house.generation()
    other.work()
    assert house.serve.names() == ["m-1", "m-3"] and house.serve.number() == house.generation()


def test_an_older_generation_that_arrives_where_nothing_is_served_any_more_is_put_right(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.work()
    late = dict(house.serve.applications)
    house.delete(1)
    one.work()
    house.serve.applications = late
    one.work(61)
    assert house.serve.names() == []


def test_what_users_change_between_the_look_and_the_put_is_put_first(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.engine.tick()
    one.workers.work.pop(0)()
    house.ask(2)
    one.work()
    assert house.serve.puts == [["m-1", "m-2"]]


def test_a_cluster_that_was_started_anew_is_told_again(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.work(60)
    assert len(house.serve.puts) == 1
    house.serve.applications = {}
    one.work()
    assert house.serve.puts == [["m-1"]] * 2 and house.statuses() == {"m-1": "Running"}


def test_a_cluster_that_hangs_delays_no_other(house: House) -> None:
    one = house.service()
    house.ask(1, cluster="a")
    house.ask(2, cluster="b")
    seen: list[dict[str, str]] = []

    def hangs() -> None:
        """The other workers go on meanwhile, and so does its heartbeat, for longer than a lease."""
        if not seen:
            seen.append({})
            for _ in range(6):
                house.now_ms += LEASE_MS // 3
                one.engine.heartbeat()
                one.work(1)
            house.ask(3, cluster="b")
            one.work()
            seen.append(house.statuses())

    house.serves["a"].before_look = hangs
    one.work()
    one.work()
    assert seen[1] == {"m-1": "Creating", "m-2": "Running", "m-3": "Running"}
    assert set(house.statuses().values()) == {"Running"} and house.serves["a"].puts == [["m-1"]]


def test_a_cluster_that_does_not_answer_changes_nothing(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.work()
    house.serve.is_away = True
    one.work(60)
    assert house.statuses() == {"m-1": "Running"}
    house.scale(1, 2)
    one.work(60)
    assert house.statuses() == {"m-1": "Updating"}
    house.serve.is_away = False
    one.work(60)
    assert house.statuses() == {"m-1": "Running"} and house.serve.replicas("m-1") == 2


def test_a_refusal_is_told_and_asked_again(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.work()
    house.serve.refusal = "no such option"
    house.ask(2)
    one.work()
    assert house.statuses() == {"m-1": "Running", "m-2": "Failed"}
    house.serve.refusal = None
    one.work()
    assert house.statuses() == {"m-1": "Running", "m-2": "Running"}


def _shared(house: House, replicas: int = 1) -> tuple[Service, TrafficService, Admission, ServingService]:
    """A service, and those of traffic, admission and endpoints where two versions are asked for that share a URL."""
    one, clusters = house.service(), Clusters(house.serves)
    traffic = TrafficService(house.database, clusters, None, lambda: None)  # type: ignore[arg-type]
    admission = Admission(house.database, clusters)  # type: ignore[arg-type]
    serving = ServingService(house.database, clusters, admission, None, None, lambda: None)  # type: ignore[arg-type]
    house.ask(1)
    house.ask(2, replicas=replicas)
    traffic.put("m", TrafficSpec(weights={1: 90, 2: 10}))
    house.at_once()
    return one, traffic, admission, serving


def test_shared_traffic_comes_and_goes_and_counts_in_what_is_held(house: House) -> None:
    one, traffic, admission, serving = _shared(house, replicas=2)
    one.work()
    assert house.serve.names() == ["m-1", "m-2", "traffic:m"] and traffic.get("m").status == "Running"
    assert [event.reason for event in traffic.get("m").events] == ["Asked", "Running"]
    held = {one.name: one.resources.cpu for one in serving.holders("a")}
    assert held == {"endpoint m 1": 0.5, "endpoint m 2": 1.0, "traffic of model m": 0.75}
    assert admission.in_use("a").cpu == 2.25
    traffic.delete("m")
    house.at_once()
    one.work()
    assert house.serve.names() == ["m-1", "m-2"]


def test_a_split_whose_weights_cannot_be_read_fails_alone_and_stays_as_it_was(house: House) -> None:
    one, traffic, admission, serving = _shared(house)
    one.work()
    before = house.serve.applications["traffic:m"]
    for stored in ("no JSON", "[1]", '{"1": null}'):
        with house.database.session(write=True) as session:
            session.get_one(TrafficRow, "m").weights = stored
        house.scale(1, 1 + house.generation() % 3)
        one.work()
        assert house.serve.applications["traffic:m"] == before
        assert set(house.statuses().values()) == {"Running"}  # the change of the endpoint came about
        shown = traffic.get("m")
        assert (shown.status, shown.weights) == ("Failed", {}) and "set them anew" in (shown.message or "")
        assert admission.in_use("a").cpu == sum(one.resources.cpu for one in serving.holders("a"))
    traffic.put("m", TrafficSpec(weights={1: 50, 2: 50}))
    house.at_once()
    one.work()
    assert traffic.get("m").status == "Running" and house.serve.applications["traffic:m"] != before


def test_what_users_start_with_serve_run_is_not_ours(house: House) -> None:
    house.serve.imperative = ["theirs"]
    one = house.service()
    house.ask(1)
    one.work(60)
    house.delete(1)
    one.work(60)
    assert house.serve.puts == [["m-1"], []] and house.statuses() == {}


def test_a_database_that_was_restored_from_before_outdoes_what_it_finds(house: House) -> None:
    house.ask(1)
    house.serve.put(fenced({"applications": [{"name": "m-9"}]}, Fence(41)))
    house.service().work()
    assert house.serve.names() == ["m-1"] and house.serve.number() == house.generation() == 42


def test_a_cluster_that_is_not_registered_any_more_is_forgotten(house: House) -> None:
    one = house.service()
    house.ask(1)
    one.work()
    house.delete(1)
    one.work()
    del house.serves["a"]
    one.work(61)
    with house.database.session() as session:
        assert session.get(ServingRow, "a") is None


VERSIONS = st.integers(1, 3)
SERVICES = st.integers(0, 1)
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["ask", "scale", "delete", "restart"]), VERSIONS),
        st.tuples(st.sampled_from(["tick", "run", "beat", "stopped in a PUT"]), SERVICES),
        st.tuples(st.just("wait"), st.sampled_from([200, 5_000, LEASE_MS + 1])),
    ),
    max_size=20,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(HAPPENINGS)
def test_whatever_happens_each_desire_is_carried_out_in_the_end(
    tmp_path: Path, empty: Path, happenings: list[tuple[str, int]]
) -> None:
    """Two services whose workers, leases, stops and PUTs come in any order. No older generation replaces a newer one but one
    that was under way, and that is put right.
    """
    shutil.copy(empty, tmp_path / "test.db")
    house = House(f"sqlite:///{tmp_path}/test.db")
    services = [house.service("one"), house.service("other")]
    try:
        for what, number in happenings:
            house.happen(services, what, number)
        for service in services:
            service.engine.tick()
            service.workers.run()
        house.stop()
        services[0].work(65)
        wanted = house.statuses()
        assert set(wanted.values()) <= {"Running"} and house.serve.names() == sorted(wanted)
        assert all(house.serve.replicas(row.name) == row.replicas for row in house.rows())
        assert house.serve.overwritten == 0
    finally:
        house.database.close()
