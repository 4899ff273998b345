"""Clocks that are set while experiments run: nothing ends early, nothing is forgotten, nothing is held by two."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import delete, update

from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters.launches import AGAIN_MS, SPENT, Launches
from submarine_ray.core import clock as clocks
from submarine_ray.core import leases, sealed
from submarine_ray.core.clock import Clock
from submarine_ray.core.database import Database
from submarine_ray.core.leases import Lessee
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments import decide, outcomes, repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.values.tables import ValueLookRow
from submarine_ray.runner import notebook
from submarine_ray.spec.launch import Launch, Replica
from submarine_ray.spec.quantities import Resources

HOUR = 3_600_000
START = 1_700_000_000_000
LEASE_MS = 30_000
TIMEOUT = 600
PAUSE_MS = 1_500


class World:
    """True time, and what each clock makes of it: the machine's, and the database server's."""

    def __init__(self) -> None:
        self.true_ms = 0
        self.set_ms = 0
        self.server_set_ms = 0

    def clock(self) -> Clock:
        return Clock(lambda: START + self.true_ms + self.set_ms, lambda: 5_000_000 + self.true_ms)

    def server(self) -> int:
        return START + self.true_ms + self.server_set_ms


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    for module in (clocks, leases, outcomes):
        monkeypatch.setattr(module, "CLOCK", made.clock())
    use(made.clock())
    yield made
    use(Clock())


def use(clock: Clock) -> None:
    """All times of this process are from this clock now."""
    clocks.CLOCK = leases.CLOCK = outcomes.CLOCK = clock


def opened(directory: Path) -> Database:
    database = Database(f"sqlite:///{directory}/test.db")
    sealed.use(database.engine, SecretBox(directory / "secret.key"))
    database.migrate()
    return database


def row(id: str, **values: object) -> ExperimentRow:
    made = ExperimentRow(
        id=id, uid="u", name="n", framework="Shell", cluster="local", spec="{}", generation=1, wanted="run", attempt=1,
        status="Created", accepted_ms=START, next_check_ms=clocks.due_ms(), superseded="", timeout_seconds=TIMEOUT,
    )  # fmt: skip
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_clock_that_is_set_is_noticed_once_and_due_times_go_on(world: World, by: int) -> None:
    clock = clocks.CLOCK
    before = clock.due_ms()
    assert clock.look() is None
    world.true_ms += 1000
    world.set_ms += by
    found = clock.look()
    assert found is not None and found.by_ms == by and clock.jumps == [found]
    assert clock.look() is None
    assert clock.due_ms() == before + 1000 and clocks.now_ms() == START + 1000 + by
    assert clock.shown(before + 2000) == START + 2000 + by


def test_a_restarted_service_goes_on_with_its_clock(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot"
    boot.write_text("one\n")
    monkeypatch.setattr(clocks, "BOOT_ID", boot)
    first = world.clock()
    first.keep(tmp_path / "run" / "clock.json")
    world.set_ms += HOUR
    world.true_ms += 5000
    second = world.clock()
    second.keep(tmp_path / "run" / "clock.json")
    assert second.due_ms() == first.due_ms() == START + 5000
    boot.write_text("two\n")  # the machine was started anew: only its clock is left
    third = world.clock()
    third.keep(tmp_path / "run" / "clock.json")
    assert third.due_ms() == START + 5000 + HOUR


@pytest.mark.parametrize("by", [0, HOUR, -HOUR])
def test_an_experiment_times_out_after_its_timeout_whatever_the_clock_says(world: World, by: int) -> None:
    running = row("e")
    job = decide.Job("e", decide.JobState.RUNNING)
    values = outcomes.observed(running, decide.Observe("Running", "Running", ""), job).values
    for name, value in values.items():
        setattr(running, name, value)
    world.set_ms += by

    def step() -> decide.Step:
        desired = decide.Desired("Running", "e", deadline_ms=outcomes.deadline_ms(running))
        return decide.decide(desired, decide.Observed({"e": job}, now_ms=clocks.now_ms()))

    world.true_ms += TIMEOUT * 1000 - 1
    assert step() == decide.Wait()
    world.true_ms += 1
    assert step() == decide.StopJob("e")


def launch_of(id: str) -> Launch:
    return Launch(id, id, "n", "Python", (Replica("worker", 0, "true", env={}, cpu=1),))


@pytest.mark.parametrize("days", [8, -8])
def test_a_launch_can_be_fetched_whatever_the_clock_says(world: World, tmp_path: Path, days: int) -> None:
    launches = Launches(opened(tmp_path), SecretBox(tmp_path / "secret.key"), Tokens(b"key"), "http://s")
    launches.keep(launch_of("e"))
    world.set_ms += days * 24 * HOUR
    launches.keep(launch_of("other"))  # forgets what is old
    assert launches.take("e", "run").launch and launches.take("e", "run").launch
    world.true_ms += AGAIN_MS + 1
    assert launches.take("e", "run").why == SPENT


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_what_waits_for_more_than_room_is_in_the_queue_when_it_is_due(world: World, tmp_path: Path, by: int) -> None:
    database = opened(tmp_path)
    waits = {"status": "Accepted", "reason": "CodeWaits", "next_check_ms": clocks.due_ms() + 1000}
    with database.session(write=True) as session:
        session.add(row("e", **waits, demand_cpu=1, demand_memory=0, demand_gpu=0))
    world.set_ms += by

    def queued() -> list[str]:
        with database.session() as session:
            return [one.id for one in repository.waiting(session, "local", Resources(1), 10)]

    assert queued() == []
    world.true_ms += 1000
    assert queued() == ["e"]


@functools.cache
def shared() -> Database:
    """One database for all examples: making one takes longer than all of an example's steps."""
    return opened(Path(TEMPORARY.name))


TEMPORARY = TemporaryDirectory()


class TwoServices(RuleBasedStateMachine):
    """Two services share a table. Time passes, clocks are set, each service works when it comes to it."""

    server = False

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.database = shared()
        self.clocks = [self.world.clock(), self.world.clock()]
        self.lessees = [Lessee("one", LEASE_MS), Lessee("two", LEASE_MS)]
        self.due = 0
        self.held: tuple[int, int, ExperimentRow] | None = None
        use(self.clocks[0])
        with self.database.session(write=True) as session:
            session.execute(delete(ExperimentRow))
            session.execute(delete(ValueLookRow))
            repository.add(session, row("e", next_check_ms=START), [])
        for clock, lessee in zip(self.clocks, self.lessees, strict=True):
            use(clock)
            if self.server:
                clock.agree(self.world.server())
            with self.database.session(write=True) as session:
                leases.recover(session, ExperimentRow, lessee)

    @rule(seconds=st.sampled_from([0, 1, 7, 29, 31, 200]))
    def pass_time(self, seconds: int) -> None:
        self.world.true_ms += seconds * 1000

    @rule(by=st.sampled_from([HOUR, -HOUR, 90_000, -90_000]))
    def set_machine(self, by: int) -> None:
        self.world.set_ms += by
        if self.server:
            self.world.server_set_ms += by
            for clock, lessee in zip(self.clocks, self.lessees, strict=True):  # each looks every second
                use(clock)
                clock.agree(self.world.server())
                with self.database.session(write=True) as session:
                    leases.agreed_ms(session, ExperimentRow, lessee)

    @rule(number=st.sampled_from([0, 1]), dies=st.booleans())
    def work(self, number: int, dies: bool) -> None:
        use(self.clocks[number])
        with self.database.session(write=True) as session:
            if self.server:
                clocks.CLOCK.agree(self.world.server())
            rows = leases.claim(session, ExperimentRow, self.lessees[number], 10)
        now = self.world.true_ms
        if self.held:
            holder, since, _ = self.held
            if rows:
                assert holder != number or now - since > LEASE_MS, "it was leased again"
                assert now - since > LEASE_MS, f"{number} took what {holder} holds"
            elif not self.renewed:
                assert now - since <= LEASE_MS, "a lease that has ended keeps everybody away"
            if not rows:
                return
        elif now >= self.due:
            assert rows, "what is due is not looked at"
        if rows:
            self.held, self.renewed = (number, now, rows[0]), self.server
            if not dies:
                self.finish()

    renewed = False

    def finish(self) -> None:
        assert self.held
        leased = self.held[2]
        with self.database.session(write=True) as session:
            assert repository.apply(session, leased, {"next_check_ms": clocks.due_ms() + PAUSE_MS}, [])
        self.held, self.due = None, self.world.true_ms + PAUSE_MS

    @invariant()
    def due_times_are_near(self) -> None:
        """However the clocks are set, the next look is never further away than it was meant to be."""
        if getattr(self, "database", None) is None or self.server:
            return
        with self.database.session() as session:
            due = session.get(ExperimentRow, "e").next_check_ms or 0
        assert due - self.clocks[0].due_ms() <= PAUSE_MS

    def teardown(self) -> None:
        use(Clock())


class TwoServicesOfOneServer(TwoServices):
    """The same with a database server, whose clock is set together with the machines'."""

    server = True


MachineClock = TwoServices.TestCase
MachineClock.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
ServerClock = TwoServicesOfOneServer.TestCase
ServerClock.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_what_was_due_by_another_clock_is_looked_at_after_a_restart(world: World, tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.session(write=True) as session:
        repository.add(session, row("e"), [])
        session.execute(
            update(ExperimentRow).values(next_check_ms=START + HOUR, lock_token="me:1", lock_expires_ms=START + HOUR)
        )
    with database.session(write=True) as session:
        leases.recover(session, ExperimentRow, Lessee("me", LEASE_MS))
        assert leases.claim(session, ExperimentRow, Lessee("me", LEASE_MS), 1)
    database.close()


def test_a_notebook_is_idle_after_it_was_idle_not_when_the_clock_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at: list[float] = [0.0]
    worked: list[float | None] = [0.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: at[0])

    class Server:
        def last_work(self) -> float | None:
            return worked[0]

    watcher = notebook.Watcher(Server(), None, tmp_path, 60, lambda: None)  # type: ignore[arg-type]
    looks = []
    for passed, work in ((20, 5.0), (20, 9000.0), (59, -3600.0), (59, None), (59, 7.0), (59, 7.0), (2, 7.0)):
        at[0], worked[0] = at[0] + passed, work
        looks.append(watcher._is_idle())
    assert looks == [False] * 6 + [True]
