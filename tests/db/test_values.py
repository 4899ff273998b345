"""Tables of experiments, filtered and sorted by what they logged, on SQLite and on a real MariaDB."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from sqlalchemy.orm import Session

from submarine_ray.core.database import Database
from submarine_ray.experiments import export
from submarine_ray.experiments import repository as experiments
from submarine_ray.experiments.grouping import ExperimentGroups
from submarine_ray.experiments.listing import ExperimentTable
from submarine_ray.experiments.values import conditions, repository
from submarine_ray.experiments.values.repository import Value
from submarine_ray.spec import expressions, numbers
from submarine_ray.spec.expressions import FieldKind, WrongExpression
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.groups import read_group
from tests.db.test_repository import row

pytestmark = pytest.mark.db

RUNS: list[tuple[str, dict[str, object], list[str], dict[str, str], dict[str, float]]] = [
    ("e-1", {"name": "one", "owner": "anna"}, ["demo"], {"lr": "0.1", "opt": "adam"}, {"loss": 0.5, "val/acc": 0.9}),
    ("e-2", {"name": "two", "owner": "ben"}, ["demo", "old"], {"lr": "1e-3", "opt": "SGD"}, {"loss": 0.25}),
    ("e-3", {"name": "three", "status": "Failed"}, [], {"lr": "auto"}, {"loss": math.nan, "Loss": 7.0}),
    ("e-4", {"name": "four", "status": "Failed", "reason": "Stopped"}, [], {}, {"lr": 0.0}),
    ("e-5", {"name": "five", "status": "Deleted"}, ["demo"], {"lr": "0.1"}, {"loss": 0.1}),
]


@pytest.fixture
def table(database: Database) -> ExperimentTable:
    for place, (id, more, tags, params, metrics) in enumerate(RUNS):
        with database.session(write=True) as session:
            made = row(id, accepted_ms=1_000 + place, running_ms=2_000, finished_ms=3_000 + place * 1_000, **more)
            experiments.add(session, made, [], tags)
            store(session, id, params, metrics)
    return ExperimentTable(database)


def store(session: Session, id: str, params: Mapping[str, str], metrics: Mapping[str, float]) -> None:
    found = {(FieldKind.PARAM, name): Value(expressions.number(text), text) for name, text in params.items()}
    for name, value in metrics.items():
        found[FieldKind.METRIC, name] = Value(None if math.isnan(value) else value, str(numbers.to_json(value)))
    ids = repository.name_ids(session, list(found))
    repository.replace(session, {id: {ids[name]: value for name, value in found.items()}})


def ids(table: ExperimentTable, text: str = "", sort: str = "", number: int = 1, size: int = 10) -> list[str]:
    rows, _ = table.page(TableQuery.read(text, sort), number, size)
    return [one.experiment_id for one in rows]


@pytest.mark.parametrize("few", [conditions._FEW, 0])
def test_filters(table: ExperimentTable, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at as sets, and (of what finds more than a few) for one experiment after the other."""
    monkeypatch.setattr(conditions, "_FEW", few)
    for text, found in {
        "metrics.loss < 0.4": ["e-2"],
        "val/acc > 0.8 and tag = demo": ["e-1"],
        "params.lr = 0.001": ["e-2"],
        "params.lr = auto": ["e-3"],
        "lr = 0": ["e-4"],  # a metric, while the others' is a parameter
        "metrics.Loss > 1": ["e-3"],
        "params.lr != 0.1": ["e-3", "e-2"],
        "not params.lr = 0.1": ["e-4", "e-3", "e-2"],
        "opt ~ sg": ["e-2"],
        "opt in (adam, SGD)": ["e-2", "e-1"],
        "opt = sgd": [],
        "nothing = 1": [],
        "status = stopped": ["e-4"],
        "status = Failed": ["e-3"],
        "status != failed and status != stopped": ["e-2", "e-1"],
        "status != stopped": ["e-3", "e-2", "e-1"],
        "status not in (Stopped, Succeeded)": ["e-3", "e-2", "e-1"],
        "owner = anna": ["e-1"],
        "owner != anna": ["e-4", "e-3", "e-2"],
        "not owner = anna": ["e-4", "e-3", "e-2"],
        "tag != old": ["e-4", "e-3", "e-1"],
        "tag not in (old, new)": ["e-4", "e-3", "e-1"],
        "owner not in (anna, ben)": ["e-4", "e-3"],
        "params.lr not in (0.1, auto)": ["e-2"],
        "metrics.loss = nan": ["e-3"],
        "metrics.loss in (nan, 0.25)": ["e-3", "e-2"],
        "metrics.loss != NaN": ["e-2", "e-1"],
        "name ~ '%'": [],
        "name ~ _": [],
        "age > 999w and duration < 50000w": ["e-4", "e-3", "e-2", "e-1"],
        "tag ~ ol or name = three": ["e-3", "e-2"],
        "duration > 2s": ["e-4", "e-3"],
        "created < 1970-01-01T00:00:01.001": ["e-1"],
        "age < 1d": [],
        "metrics.loss < 1 or name ~ o": ["e-4", "e-2", "e-1"],
    }.items():
        assert ids(table, text) == found, text
    for wrong in (
        {"filter": "lr <"},
        {"sort": "tag"},
        {"columns": ["name"]},
        {"columns": [f"c{n}" for n in range(51)]},
    ):
        with pytest.raises(WrongExpression) as failure:
            TableQuery.read(**wrong)
        assert failure.value.parameter == next(iter(wrong))


def test_digits_that_a_float_does_not_hold_are_compared_and_shown_as_they_are(
    database: Database, table: ExperimentTable
) -> None:
    with database.session(write=True) as session:
        store(session, "e-1", {"seed": "9007199254740993", "fold": "007"}, {"tokens": 2e16})
        store(session, "e-2", {"seed": "9007199254740992", "fold": "7"}, {"tokens": 1e16})
    for text, found in {
        "seed = 9007199254740993": ["e-1"],
        "seed != 9007199254740993": ["e-2"],
        "fold = 007": ["e-1"],
        "fold in (7, x)": ["e-2", "e-1"],
        "seed > 9e15": ["e-2", "e-1"],
        "tokens = 10000000000000000": ["e-2"],
    }.items():
        assert ids(table, text) == found, text
    rows, _ = table.page(TableQuery.read("name = one", columns=["seed", "fold", "tokens"]), 1, 10)
    assert rows[0].values == {"seed": "9007199254740993", "fold": "007", "tokens": 2e16}


def test_sort_orders_and_pages(table: ExperimentTable) -> None:
    for sort, found in {
        "": ["e-4", "e-3", "e-2", "e-1"],
        "created": ["e-1", "e-2", "e-3", "e-4"],
        "metrics.loss": ["e-2", "e-1", "e-3", "e-4"],  # a number, NaN, nothing
        "-metrics.loss": ["e-1", "e-2", "e-3", "e-4"],
        "params.lr": ["e-2", "e-1", "e-3", "e-4"],
        "lr": ["e-4", "e-2", "e-1", "e-3"],  # the metric, then the parameter of those without it
        "-lr": ["e-4", "e-1", "e-2", "e-3"],
        "-owner": ["e-2", "e-1", "e-4", "e-3"],
        "-duration": ["e-4", "e-3", "e-2", "e-1"],
        "name": ["e-4", "e-1", "e-3", "e-2"],
        "unknown": ["e-4", "e-3", "e-2", "e-1"],
        "status": ["e-2", "e-1", "e-3", "e-4"],
    }.items():
        assert ids(table, sort=sort) == found, sort
        for size in (1, 2, 3):
            paged = [id for number in (1, 2, 3, 4, 5) for id in ids(table, sort=sort, number=number, size=size)]
            assert paged == found, (sort, size)
    assert ids(table, "tag = demo", "-metrics.loss") == ["e-1", "e-2"]


def test_groups(database: Database, table: ExperimentTable) -> None:
    groups = ExperimentGroups(database)

    def found(by: str, sort: str = "", text: str = "") -> list[tuple[object, int]]:
        query = TableQuery.read(text, sort, ["loss"])
        rows, total = groups.page(query, read_group(by), 1, 10)
        assert total == len(rows)
        for one in rows:
            assert len(ids(table, f"{text} and {one.filter}" if text else one.filter or "")) == one.count, one
        return [(one.value, one.count) for one in rows]

    assert found("tag") == [("demo", 2), (None, 2), ("old", 1)]
    assert found("status") == [("Accepted", 2), ("Failed", 1), ("Stopped", 1)]
    assert found("owner", "-owner") == [("ben", 1), ("anna", 1), (None, 2)]
    assert found("owner", "loss") == [("ben", 1), ("anna", 1), (None, 2)]
    assert found("params.lr", "-lr") == [(0.1, 1), (0.001, 1), ("auto", 1), (None, 1)]
    assert found("params.lr", "-created") == [(None, 1), ("auto", 1), (0.001, 1), (0.1, 1)]
    assert found("lr", text="tag = demo") == [(0.001, 1), (0.1, 1)]
    with database.session(write=True) as session:
        store(session, "e-1", {"seed": "12345678901234567"}, {})
        store(session, "e-2", {"seed": "12345678901234568"}, {})  # the same float
        store(session, "e-3", {"seed": "0.10"}, {})
        store(session, "e-4", {"seed": "1e-1"}, {})
    assert found("params.seed", "seed") == [(0.1, 2), ("12345678901234567", 1), ("12345678901234568", 1)]
    means = groups.page(TableQuery.read(columns=["loss"]), read_group("framework"), 1, 10)[0][0].values
    assert means == {}  # what was logged before is replaced


def test_values_of_columns(database: Database, table: ExperimentTable) -> None:
    query = TableQuery.read(columns=["metrics.loss", "params.lr", "lr", "metrics.none"])
    rows, total = table.page(query, 1, 3)
    assert total == 4 and [one.values for one in rows] == [
        {"lr": 0.0},
        {"metrics.loss": "NaN", "params.lr": "auto", "lr": "auto"},
        {"metrics.loss": 0.25, "params.lr": 0.001, "lr": 0.001},
    ]
    assert [str(field) for field in table.fields("o")] == ["metrics.Loss", "metrics.loss", "params.opt"]
    with database.session(write=True) as session:
        repository.forget(session, ["e-3"])
    assert [str(field) for field in table.fields("o")] == ["metrics.loss", "params.opt"]  # Loss was e-3's alone


def test_a_file_has_each_row_once_while_experiments_come_and_go(
    database: Database, table: ExperimentTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 1)
    query = TableQuery.read(sort="-metrics.loss", columns=["metrics.loss"])
    lines = export.lines(table, query)  # asks at once: a database that is away is told of before the file begins
    with database.session(write=True) as session:
        experiments.add(session, row("e-9", name="new", accepted_ms=9_000), [], [])
        store(session, "e-9", {}, {"loss": 99.0})
        gone = experiments.find(session, "e-3")
        assert gone
        gone.status = "Deleted"
    found = [line.split(",")[0] for line in lines]
    assert found == ["id", "e-1", "e-2", "e-4"]
    monkeypatch.setattr(export, "MOST_ROWS", 2)
    assert [line.split(",")[0] for line in export.lines(table, query)][1:] == ["e-9", "e-1"]


def test_only_what_differs_is_written_and_all_goes_with_the_experiment(
    database: Database, table: ExperimentTable
) -> None:
    with database.session(write=True) as session:
        store(session, "e-1", {"lr": "0.1"}, {"loss": 0.75, "new": 1.0})
    with database.session() as session:
        names = repository.find_names(session, [(FieldKind.METRIC, "loss"), (FieldKind.METRIC, "new")])
        found = repository.known(session, ["e-1"])["e-1"]
    assert len(found) == 3 and {found[id].number for id in names.values()} == {0.75, 1.0}
    with database.session(write=True) as session:
        assert repository.is_due(session, 10_000)
        repository.forget(session, ["e-1"])
        assert repository.known(session, ["e-1"]) == {"e-1": {}}
    assert "e-1" not in ids(table, "lr < 10")
