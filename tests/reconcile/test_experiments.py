"""Experiments on the engine, stepped by hand: what is decided is done once, kept, and told; one delays no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import JobState, Unreachable
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import TrackingUnavailable
from submarine_ray.core.sealed import Kept
from submarine_ray.experiments.tables import AttemptRow
from submarine_ray.experiments.unsubmittable import TRIES
from submarine_ray.spec.experiment import ExperimentSpec
from tests.conftest import spec
from tests.reconcile import experiments
from tests.reconcile.experiments import World
from tests.reconcile.fakes import LEASE_MS

MINUTE_MS = 60_000


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with experiments.world(tmp_path, monkeypatch) as made:
        yield made


def running(world: World, **changes: Any) -> str:
    """An experiment that runs."""
    id = world.submit(**changes)
    world.service("beginning").work(2_000)
    assert world.row(id).status == "Running"
    return id


def test_from_accepted_to_the_archived_log(world: World) -> None:
    service, there = world.service("a"), world.played["one"]
    id = world.submit()
    service.work()
    assert world.row(id).status == "Created" and there.submitted == [id]
    service.work(2_000)
    assert world.row(id).status == "Running"
    there.end(id, JobState.SUCCEEDED)
    service.work(5_000)
    row = world.row(id)
    assert (row.status, row.archived, row.next_check_ms) == ("Succeeded", True, None)
    assert world.reasons(id) == ["Accepted", "Submitted", "Running", "Succeeded"]
    run = row.uid.replace("-", "")
    assert world.tracking.runs == {run: "FINISHED"} and world.tracking.logs == [(run, "logs")]
    assert there.jobs == {}


def test_a_failed_attempt_is_retried_and_its_log_kept(world: World) -> None:
    id, service, there = running(world, maxRetries=2), world.service("a"), world.played["one"]
    there.end(id, JobState.FAILED)
    service.work(10_000)
    assert there.submitted == [id, f"{id}-r2"] and list(there.jobs) == [f"{id}-r2"]
    assert [path for _, path in world.tracking.logs] == ["logs/attempt-1"]
    there.end(f"{id}-r2", JobState.SUCCEEDED)
    service.work(10_000)
    assert world.row(id).status == "Succeeded" and world.reasons(id).count("Submitted") == 2
    assert [path for _, path in world.tracking.logs] == ["logs/attempt-1", "logs"]


def test_another_spec_stops_the_attempt_and_runs_anew(world: World) -> None:
    id, service, there = running(world), world.service("a"), world.played["one"]
    meta = {"name": "test", "framework": "PyTorch", "cmd": "python other.py"}
    world.api.patch(id, ExperimentSpec.model_validate(spec(meta=meta)))
    service.work(10_000)
    assert there.stopped == [id] and there.submitted == [id, f"{id}-r2"] and list(there.jobs) == [f"{id}-r2"]
    assert [path for _, path in world.tracking.logs] == ["logs"]


def test_a_rerun_has_a_run_of_its_own_and_a_retry_goes_on_in_the_one_before(world: World) -> None:
    service, there = world.service("a"), world.played["one"]
    id = running(world, maxRetries=1)
    there.end(id, JobState.FAILED)
    service.work(10_000)
    first = world.row(id).run_id
    assert world.row(id).status == "Running" and world.tracking.logs == [(first, "logs/attempt-1")]
    world.api.patch(id, ExperimentSpec.model_validate(spec(timeout=60)))  # while attempt 2 runs
    service.work(10_000)
    second = world.row(id).run_id
    assert there.stopped == [f"{id}-r2"] and list(there.jobs) == [f"{id}-r3"]
    assert second != first and world.tracking.runs == {first: "FAILED", second: "RUNNING"}
    assert world.tracking.logs[1:] == [(first, "logs")]
    seen = [(one.attempt, one.seen, one.run_id, one.spec.timeout) for one in world.api.attempts.all(id)]
    assert seen == [(1, "Failed", first, None), (2, "Stopped", first, None), (3, "Running", second, 60)]
    world.api.delete(id)
    service.work(10_000)
    assert world.rows() == {} and set(world.tracking.runs.values()) == {"deleted"}
    with world.database.session() as session:
        assert session.query(AttemptRow).count() == 0


@pytest.mark.parametrize("taken_back", ["delete", "stop"])
def test_what_the_user_takes_back_ends(world: World, taken_back: str) -> None:
    id, service, there = running(world), world.service("a"), world.played["one"]
    getattr(world.api, taken_back)(id)
    service.work(10_000)
    assert there.stopped == [id] and there.jobs == {}
    if taken_back == "delete":
        assert world.rows() == {} and set(world.tracking.runs.values()) == {"deleted"}
    else:
        assert (world.row(id).status, world.row(id).reason) == ("Failed", "Stopped")


def test_an_archive_longer_than_three_leases_is_made_once_and_kept(world: World) -> None:
    """A large log on a slow store was stored again and again, and never kept."""
    id, one, other = running(world), world.service("a"), world.service("b")

    def slow(_run: str) -> None:
        for _ in range(10):
            world.now_ms += LEASE_MS // 3
            one.engine.heartbeat()
            other.work()
            one.engine.tick()

    world.tracking.storing = slow
    world.played["one"].end(id, JobState.SUCCEEDED)
    one.work(5_000)
    assert len(world.tracking.logs) == 1 and world.row(id).archived
    assert world.row(id).next_check_ms is None


def test_two_services_make_one_run_and_one_job(world: World) -> None:
    """The first hangs in MLflow's call until its lease has ended, and goes on once the other has done its work."""
    id, one, other = world.submit(), world.service("a"), world.service("b")
    asked: list[str] = []
    world.played["one"].submitting = asked.append

    def hang(_run: str) -> None:
        world.tracking.opening = lambda _run: None
        world.now_ms += LEASE_MS + 1
        other.work()
        assert world.row(id).status == "Created"

    world.tracking.opening = hang
    one.work()
    assert len(world.tracking.runs) == 1
    assert asked == [id], "the first has found out that the row is another's"
    assert world.reasons(id) == ["Accepted", "Submitted"]


BROKEN = {
    "no JSON": {"spec": Kept("{")},
    "a spec that is refused now": {"spec": Kept('{"meta": {"name": "x", "framework": "Cobol"}, "spec": {}}')},
    "an environment": {"environment": Kept("[]")},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("is_full", [False, True])
def test_one_whose_documents_cannot_be_read_ends_with_the_reason_and_delays_nobody(
    world: World, broken: dict[str, Kept], is_full: bool
) -> None:
    service, there = world.service("a"), world.played["one"]
    if is_full:  # then it does not even come to its submission
        there.cpu = 0.5
    ids = [world.submit(queue=True) for _ in range(3)]
    world.change(ids[1], **broken)
    service.work()
    assert [world.row(id).status for id in (ids[0], ids[2])] == ["Accepted" if is_full else "Created"] * 2
    assert world.row(ids[1]).status == "Failed"
    (told,) = [event for event in world.api.history(ids[1]) if event.to_status == "Failed"]
    assert "that this version refuses" in told.message and "Patch it" in told.message
    service.work(MINUTE_MS)
    assert world.row(ids[1]).next_check_ms is None and world.reasons(ids[1]).count("NotSubmittable") == 1
    assert len(world.api.page(None, None, 1, None)[0]) == 3, "and hides no other from a list"


def test_a_mistake_in_a_submission_is_told_once_and_ends_after_some_tries(world: World) -> None:
    service, there = world.service("a"), world.played["one"]
    ids = [world.submit() for _ in range(3)]

    tried = []

    def submitting(id: str) -> None:
        if id == ids[0]:
            tried.append(id)
            raise KeyError("a field that is not there")

    there.submitting = submitting
    service.work()
    assert [world.row(id).status for id in ids] == ["Accepted", "Created", "Created"]
    service.work(3 * MINUTE_MS)
    assert world.row(ids[0]).status == "Failed" and len(tried) == TRIES
    assert "by an error of its own (KeyError)" in (world.row(ids[0]).message or "")
    assert world.reasons(ids[0]) == ["Accepted", "ServiceError", "ServiceError"]


@pytest.mark.parametrize(
    ("failure", "words"), [(RuntimeError("x"), "internal error (RuntimeError)"), (Unreachable("no route"), "no route")]
)
@pytest.mark.parametrize("what", ["stopping", "reading", "deleting"])
def test_a_step_that_fails_is_told_once_in_words_and_goes_on_when_it_can(
    world: World, what: str, failure: Exception, words: str
) -> None:
    ids = [running(world), running(world)]
    service, there = world.service("a"), world.played["one"]

    def fail(id: str) -> None:
        if id == ids[0]:
            raise failure

    setattr(there, what, fail)
    for id in ids:
        world.api.stop(id)
    service.work(30 * MINUTE_MS)
    assert world.row(ids[1]).next_check_ms is None, "the other is not held up"
    told = [event.message for event in world.api.history(ids[0]) if event.reason == "NotReconciled"]
    assert len(told) == 1 and words in told[0]
    setattr(there, what, lambda _id: None)
    service.work(10 * MINUTE_MS)
    assert world.row(ids[0]).next_check_ms is None and there.jobs == {}


def test_a_cluster_that_hangs_delays_no_other(world: World) -> None:
    service = world.service("a")
    slow = world.cluster("slow")
    ids = [world.submit(cluster="slow"), world.submit()]

    def hang() -> None:
        slow.looking = lambda: None
        service.work()  # the other workers, meanwhile
        assert [world.row(id).status for id in ids] == ["Accepted", "Created"]

    slow.looking = hang
    service.work()
    service.work()
    assert world.row(ids[0]).status == "Created"


def test_one_that_ends_makes_room_for_the_next_at_once(world: World) -> None:
    there, service = world.played["one"], world.service("a")
    there.cpu = 1
    first, second = world.submit(), world.submit()
    service.work(10_000)
    assert world.row(second).reason == "Queued" and "Waiting for room" in (world.row(second).message or "")
    there.end(first, JobState.SUCCEEDED)
    service.work(2_000)
    assert world.row(second).status == "Running"


def test_what_was_restored_in_mlflow_is_told(world: World) -> None:
    world.tracking.told = "The MLflow experiment 'test' had been deleted; it was restored."
    id = world.submit()
    world.service("a").work()
    (told,) = [event for event in world.api.history(id) if event.reason == "TrackingRestored"]
    assert told.message == world.tracking.told and world.row(id).status == "Created"


def test_mlflow_that_is_away_ends_nothing_and_is_told(world: World) -> None:
    id, service = world.submit(), world.service("a")

    def away(_run: str) -> None:
        raise TrackingUnavailable("MLflow's database does not answer; try again in a moment.")

    world.tracking.opening = away
    service.work(MINUTE_MS)
    (told,) = [event for event in world.api.history(id) if event.reason == "NotReconciled"]
    assert "MLflow's database does not answer" in told.message and world.row(id).status == "Accepted"
    world.tracking.opening = lambda _run: None
    service.work(2 * MINUTE_MS)
    assert world.row(id).status == "Running"


def test_a_run_that_was_removed_for_good_holds_nothing_up(world: World) -> None:
    id, service = running(world), world.service("a")
    world.tracking.runs.clear()
    world.played["one"].end(id, JobState.SUCCEEDED)
    service.work(10_000)
    assert world.row(id).next_check_ms is None and world.played["one"].jobs == {}
    assert "LogNotKept" in world.reasons(id)


def test_what_can_never_run_ends_once_its_cluster_has_been_seen(world: World) -> None:
    """It was accepted before anybody knew how large the cluster is."""
    service, big = world.service("a"), {"Worker": {"replicas": 1, "resources": "cpu=100"}}
    id = world.submit(spec=big)
    waits = world.submit(spec=big, queue=True)
    service.work()
    assert [world.row(one).reason for one in (id, waits)] == ["Queued", "Queued"]
    with world.database.session(write=True) as session:
        row = session.get_one(ClusterRow, "one")
        row.total_cpu, row.total_memory, row.total_gpu = 64, 2**40, 0
        row.node_cpu, row.node_memory, row.node_gpu = 64, 2**40, 0
    service.work(5_000)
    assert (world.row(id).status, world.row(id).reason) == ("Failed", "Unschedulable")
    assert "100 CPUs where there are 64" in (world.row(id).message or "")
    assert (world.row(waits).status, world.row(waits).reason) == ("Accepted", "Queued")


SWEEP = {"searchSpace": {"lr": {"type": "uniform", "low": 0, "high": 1}}, "metric": "loss", "mode": "min"}


def test_a_sweep_that_was_extended_too_late_for_its_driver_goes_on(world: World) -> None:
    meta = {"name": "sweep", "framework": "Python", "cmd": "python t.py {{lr}}"}
    id, service, there = running(world, meta=meta, tune=SWEEP), world.service("a"), world.played["one"]
    run = world.row(id).run_id
    world.api.sweeps.extend(id, 5)
    there.end(id, JobState.SUCCEEDED)
    service.work(10_000)
    row = world.row(id)
    assert (row.attempt, row.run_id, row.status, row.failures) == (2, run, "Running", 0)
    assert world.reasons(id)[-4:] == ["Extended", "Extended", "Submitted", "Running"]
    assert [one.status for one in world.api.attempts.all(id)] == ["Succeeded", "Running"]
    world.change(id, unheard_samples=None)  # its driver has heard of them
    there.end(f"{id}-r2", JobState.SUCCEEDED)
    service.work(10_000)
    assert world.row(id).status == "Succeeded" and world.tracking.logs == [(run, "logs/attempt-1"), (run, "logs")]
    world.api.sweeps.extend(id, 5)
    service.work(10_000)
    row = world.row(id)
    assert (row.attempt, row.run_id, row.status) == (3, run, "Running")
    assert world.tracking.moved == [(run, "logs", "logs/attempt-2")] and there.submitted[-1] == f"{id}-r3"
    world.api.stop(id)  # what nobody wants any more is not gone on with
    service.work(10_000)
    assert (world.row(id).attempt, world.row(id).reason) == (3, "Stopped")
