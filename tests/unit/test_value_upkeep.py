"""What the copies of logged values make of experiments that change while MLflow is read (experiments/values/upkeep.py)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import delete, select, update

from submarine_ray.core import sealed
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments import repository as experiments
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.values import repository
from submarine_ray.experiments.values import upkeep as values_upkeep
from submarine_ray.experiments.values.tables import ValueLookRow, ValueRow
from submarine_ray.experiments.values.upkeep import ValueUpkeep
from submarine_ray.spec.expressions import FieldKind
from submarine_ray.tracking.curves import Latest
from submarine_ray.tracking.service import TrackingService
from tests.db.test_repository import row


class Logged:
    """An MLflow in which each run has one loss; `meanwhile` happens while it is asked."""

    is_ready = True

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.keys: tuple[str, ...] = ("loss",)
        self.silent = {"run-silent"}

    def marks(self, runs: Collection[str]) -> dict[str, tuple[int, int]]:
        return {run: (1, 1) for run in runs if run not in self.silent}

    def best_trials(self, sweeps: Mapping[str, object]) -> dict[str, str]:
        return {}

    def logged_params(self, runs: Collection[str]) -> list[tuple[str, str, str]]:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return []

    def latest(self, runs: Collection[str]) -> list[Latest]:
        return [Latest(run, key, 0.5, 0, 1) for run in runs if run not in self.silent for key in self.keys]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    sealed.use(made.engine, SecretBox(tmp_path / "secret.key"))
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def logged() -> Logged:
    return Logged()


@pytest.fixture
def upkeep(database: Database, logged: Logged) -> ValueUpkeep:
    for id in ("e-1", "e-2"):
        with database.session(write=True) as session:
            ended = row(id, status="Succeeded", archived=True, run_id=f"run-{id}", next_check_ms=None)
            experiments.add(session, ended, [])
    return ValueUpkeep(database, cast(TrackingService, logged))


def kept(database: Database) -> dict[str, int]:
    """How many values there are of each experiment."""
    with database.session() as session:
        found = list(session.scalars(select(ValueRow.experiment_id)))
    return {id: found.count(id) for id in sorted(set(found))}


def watched(database: Database) -> list[str]:
    with database.session() as session:
        return sorted(session.scalars(select(ValueLookRow.experiment_id)))


def test_an_experiment_that_is_purged_meanwhile_leaves_nothing(
    database: Database, logged: Logged, upkeep: ValueUpkeep
) -> None:
    def purge() -> None:
        with database.session(write=True) as session:
            session.execute(delete(ExperimentRow).where(ExperimentRow.id == "e-1"))
            repository.forget(session, ["e-1"])

    logged.meanwhile = purge
    upkeep.tick()
    assert kept(database) == {"e-2": 1} and watched(database) == []


def test_an_experiment_that_begins_anew_meanwhile_is_watched_on(
    database: Database, logged: Logged, upkeep: ValueUpkeep
) -> None:
    def rerun() -> None:
        with database.session(write=True) as session:
            mine = update(ExperimentRow).where(ExperimentRow.id == "e-1")
            session.execute(mine.values(run_id=None, archived=False, status="Accepted"))
            repository.watch(session, "e-1", now_ms())

    logged.meanwhile = rerun
    upkeep.tick()
    assert kept(database) == {"e-2": 1} and watched(database) == ["e-1"]


@pytest.mark.parametrize("run", [None, "run-silent"])
def test_an_attempt_that_has_logged_nothing_has_no_values_of_the_one_before(
    database: Database, upkeep: ValueUpkeep, run: str | None
) -> None:
    upkeep.tick()
    assert kept(database) == {"e-1": 1, "e-2": 1}
    with database.session(write=True) as session:
        anew = update(ExperimentRow).where(ExperimentRow.id == "e-1")
        session.execute(anew.values(run_id=run, archived=False, status="Accepted"))
        repository.watch(session, "e-1", now_ms())
    upkeep.tick()
    assert kept(database) == {"e-2": 1} and watched(database) == ["e-1"]


def test_names_that_differ_in_blanks_at_their_end_are_one(
    database: Database, logged: Logged, upkeep: ValueUpkeep
) -> None:
    logged.keys = (
        "loss",
        "loss ",
        " ",
        "  ",
    )  # MariaDB takes them for one, and a unique name would be refused for ever
    upkeep.tick()
    assert kept(database) == {"e-1": 2, "e-2": 2}


def test_of_very_many_names_those_of_few_parts_are_kept(
    database: Database, logged: Logged, upkeep: ValueUpkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With the two of them in one transaction, others would wait for long.
    monkeypatch.setattr(values_upkeep, "STORED_AT_ONCE", 3_000)
    logged.keys = (*(f"grad/layer.{n:04}" for n in range(2_010)), "loss", "val/loss")
    upkeep.tick()
    assert kept(database) == {"e-1": 2_000, "e-2": 2_000} and watched(database) == []
    with database.session() as session:
        found = repository.find_names(session, [(FieldKind.METRIC, name) for name in ("loss", "val/loss")])
    assert len(found) == 2
