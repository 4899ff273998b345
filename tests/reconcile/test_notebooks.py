"""Notebooks step by step, through the real service and its database; only the clusters are not real."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters.drivers.base import Blocked, JobState
from submarine_ray.core.errors import Conflict
from submarine_ray.core.secrets import SecretBox
from submarine_ray.notebooks.launching import Launching
from submarine_ray.notebooks.perform import Notebooks
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.launch import Launch
from submarine_ray.spec.notebooks import NotebookSpec
from submarine_ray.spec.notebooks import NotebookStatus as Status
from tests.reconcile.fakes import LEASE_MS
from tests.reconcile.house import House, Stepped, stepped


class Notes(House):
    """With notebooks."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.notebooks = self.platform.notebooks

    def service(self, name: str = "one") -> Stepped:
        launching = Launching(
            self.settings, SecretBox(self.settings.layout.secret_key), Tokens(b"key"), "http://mlflow"
        )
        return Stepped(
            self, Notebooks(self.platform.clusters, self.platform.admission, self.notebooks, launching), name
        )

    def create(self, name: str, cluster: str = "local", cpu: float = 1) -> str:
        spec = {"meta": {"name": name}, "spec": {"resources": f"cpu={cpu}"}}
        id = str(self.notebooks.create(NotebookSpec.model_validate(spec)).notebook_id)
        self.change(id, cluster=cluster)
        return id

    def change(self, id: str, **values: object) -> None:
        with self.database.session(write=True) as session:
            row = session.get_one(NotebookRow, id)
            for key, value in values.items():
                setattr(row, key, value)

    def row(self, id: str) -> NotebookRow:
        with self.database.session() as session:
            return session.get_one(NotebookRow, id)

    def told(self, id: str) -> list[str]:
        return [event.reason for event in self.notebooks.history(id)]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notes]:
    with stepped(Notes(tmp_path), monkeypatch) as made:
        yield made


def test_a_notebook_starts_is_stopped_and_started_again(house: Notes) -> None:
    service, id = house.service(), house.create("mine")
    service.work(seconds=3)
    assert house.row(id).status == Status.RUNNING and house.row(id).address == "10.0.0.1:8888"
    house.notebooks.stop(id)
    service.work(seconds=3)
    assert house.row(id).status == Status.STOPPED and house.row(id).address is None
    assert house.row(id).next_check_ms is None
    house.notebooks.start(id)
    service.work(seconds=3)
    assert house.row(id).status == Status.RUNNING
    assert house.clusters["local"].submitted == [id, f"{id}-r2"] and house.row(id).superseded_ids == ()
    assert house.told(id) == [
        "Accepted", "Submitted", "Running", "StopAsked", "Stopped", "StartAsked", "Submitted", "Running",
    ]  # fmt: skip


def test_a_deleted_notebook_goes_with_its_job(house: Notes) -> None:
    service, id = house.service(), house.create("mine")
    service.work(seconds=3)
    house.notebooks.delete(id)
    service.work(seconds=3)
    with house.database.session() as session:
        assert session.get(NotebookRow, id) is None
    assert house.clusters["local"].jobs == {}


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_an_idle_notebook_stops_and_a_crashed_one_starts_again(house: Notes, state: JobState) -> None:
    service, id = house.service(), house.create("mine")
    service.work(seconds=3)
    house.clusters["local"].said[id] += b"[submarine] the notebook was idle for 3 s\n"
    house.clusters["local"].end(id, state)
    service.work(seconds=8)
    row = house.row(id)
    if state is JobState.SUCCEEDED:
        assert row.status == Status.STOPPED and "idle" in row.reason and row.wanted == "stop"
    else:
        assert row.status == Status.RUNNING and row.failures == 1 and row.submission_id == f"{id}-r2"


@pytest.mark.parametrize(
    "change",
    [
        {"spec": '{"meta": {"name": "of another time"}, "spec": {"resources": "none"}}'},
        {"spec": "no JSON"},
        {"environment": '{"kernelSpec": 7}'},
    ],
)
def test_one_whose_stored_spec_cannot_be_read_fails_alone_and_says_why(house: Notes, change: dict[str, str]) -> None:
    service, poisoned, well = house.service(), house.create("poisoned"), house.create("well")
    house.change(poisoned, **change)
    service.work(seconds=3)
    assert house.row(well).status == Status.RUNNING
    row = house.row(poisoned)
    assert row.status == Status.FAILED and "that this version refuses" in row.reason and "Delete it" in row.reason
    assert house.told(poisoned) == ["Accepted", "Failed"]
    listed, _ = house.notebooks.list_page(None, None, None)
    assert {one.name: one.status for one in listed} == {"poisoned": "failed", "well": "running"}
    if "spec" in change:
        with pytest.raises(Conflict, match="that this version refuses"):
            house.notebooks.spec(poisoned)
    house.notebooks.delete(poisoned)
    service.work()
    assert [one.name for one in house.notebooks.list_page(None, None, None)[0]] == ["well"]


def test_a_mistake_of_ours_about_one_is_told_once_and_keeps_no_other_back(
    house: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, poisoned, well = house.service(), house.create("poisoned"), house.create("well")
    launch = Launching.of

    def of(self: Launching, row: NotebookRow) -> Launch:
        if row.id == poisoned:
            raise KeyError("a mistake")
        return launch(self, row)

    monkeypatch.setattr(Launching, "of", of)
    service.work(seconds=60)
    assert house.row(well).status == Status.RUNNING and house.row(poisoned).status == Status.CREATING
    assert house.told(poisoned) == ["Accepted", "NotReconciled"]


def test_what_is_blocked_is_told_once_and_left_alone_as_long_as_it_says(house: Notes) -> None:
    service, id, tried = house.service(), house.create("mine"), []

    def blocked(_key: str) -> None:
        tried.append(house.now_ms)
        if len(tried) < 4:
            raise Blocked("QuotaExceeded", "the namespace's quota is used up", 20_000)

    house.clusters["local"].submitting = blocked
    service.work(seconds=50)
    assert house.row(id).reason == "the namespace's quota is used up" and house.told(id) == ["Accepted", "Creating"]
    service.work(seconds=14)
    assert house.row(id).status == Status.RUNNING
    assert [later - earlier for earlier, later in pairwise(tried)] == [20_000] * 3


def test_a_cluster_that_hangs_delays_no_other(house: Notes) -> None:
    service, stuck, well = house.service(), house.create("stuck", "far"), house.create("well")
    waits = [True]

    def hang() -> None:
        if not waits:
            return
        waits.clear()
        service.work_beside(seconds=60)
        assert house.row(well).status == Status.RUNNING and house.row(stuck).status == Status.CREATING

    house.clusters["far"].looking = hang
    service.work()
    assert not waits
    service.work(seconds=3)
    assert house.row(stuck).status == Status.RUNNING


def test_a_log_that_hangs_delays_no_other_notebook_of_its_cluster(house: Notes) -> None:
    service, stuck, well = house.service(), house.create("stuck"), house.create("well")
    house.clusters["local"].said[well] = b""
    hung = []

    def hang(key: str) -> None:
        if key != stuck or hung:
            return
        hung.append(key)
        service.work_beside(seconds=60)
        assert house.row(well).status == Status.RUNNING and house.row(stuck).status == Status.CREATING

    house.clusters["local"].reading = hang
    service.work(seconds=3)
    assert hung and house.row(stuck).status == Status.RUNNING


def test_a_submission_longer_than_three_leases_is_done_once_and_kept(house: Notes) -> None:
    one, other, id = house.service(), house.service("other"), house.create("mine")

    def slow(_key: str) -> None:
        for _ in range(10):
            house.now_ms += LEASE_MS // 3
            one.engine.heartbeat()
            other.work()
            one.engine.tick()

    house.clusters["local"].submitting = slow
    one.work(seconds=3)
    assert house.clusters["local"].submitted == [id] and house.told(id) == ["Accepted", "Submitted", "Running"]


def test_another_service_takes_over_from_one_that_died_before_it_submitted(house: Notes) -> None:
    one, other, id = house.service(), house.service("other"), house.create("mine")
    one.die_in_its_step()
    other.work(seconds=LEASE_MS // 1000 - 1)
    assert house.row(id).status == Status.CREATING and house.clusters["local"].submitted == []
    other.work(seconds=5)
    assert house.row(id).status == Status.RUNNING and house.clusters["local"].submitted == [id]


def test_who_was_stopped_meanwhile_writes_nothing(house: Notes) -> None:
    one, other, id = house.service(), house.service("other"), house.create("mine")

    def stopped(key: str) -> None:
        house.clusters["local"].submitting = lambda _key: None
        house.now_ms += LEASE_MS + 1
        other.work(seconds=3)
        assert house.row(id).status == Status.RUNNING
        house.notebooks.stop(id)

    house.clusters["local"].submitting = stopped
    one.engine.tick()
    one.workers.run()
    assert house.row(id).status == Status.TERMINATING and house.clusters["local"].submitted == [id]
    one.work(seconds=3)
    assert house.row(id).status == Status.STOPPED


def test_two_that_start_at_once_share_the_room_there_is(house: Notes) -> None:
    service = house.service()
    ids = [house.create(f"n{number}", cpu=3) for number in range(4)]
    tried = []

    def together(key: str) -> None:
        if not tried:
            tried.append(key)
            service.workers.run()  # the other workers, while this one submits

    house.clusters["local"].submitting = together
    service.work(seconds=3)
    assert [house.row(id).status for id in ids] == ["running", "running", "waiting", "waiting"]
    assert house.row(ids[2]).reason.startswith("Waiting for room on cluster 'local'")
    house.notebooks.stop(ids[0])
    service.work(seconds=8)
    assert [house.row(id).status for id in ids] == ["stopped", "running", "running", "waiting"]


def test_a_cluster_that_is_away_changes_no_notebook(house: Notes) -> None:
    service, id = house.service(), house.create("mine")
    service.work(seconds=3)
    house.clusters["local"].is_away = True
    before = house.row(id)
    service.work(seconds=60)
    after = house.row(id)
    assert (after.status, after.reason, after.address) == (before.status, before.reason, before.address)
    house.clusters["local"].is_away = False
    house.notebooks.stop(id)
    service.work(seconds=40)
    assert house.row(id).status == Status.STOPPED
