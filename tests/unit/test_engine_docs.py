"""docs/engine.md: the tests that it names exist, its example runs, and its metrics are those there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from submarine_ray.core import leases
from submarine_ray.core.clock import CLOCK, due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.engine import metrics
from submarine_ray.core.engine.engine import Engine
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import ClusterUnavailable
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee, Reconciled
from tests.reconcile.fakes import LEASE_MS, ByHand

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "engine.md").read_text()


def test_each_invariant_has_its_test() -> None:
    invariants = PAGE.split("## The invariants")[1].split("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", invariants))
    sources = [*(ROOT / "tests" / "reconcile").glob("test_*.py"), *(ROOT / "tests" / "unit").glob("test_*.py")]
    there = {name for source in sources for name in re.findall(r"^def (test_\w+)", source.read_text(), re.M)}
    assert len(named) >= 15 and named <= there, named - there
    rows = [line for line in invariants.splitlines() if line.startswith("|")][2:]
    assert [row for row in rows if "`test_" not in row] == []


def test_each_metric_is_explained() -> None:
    there = [one for one in vars(metrics).values() if hasattr(one, "_documentation")]
    names = {f"{one._name}{'_total' if one._type == 'counter' else ''}" for one in there}
    explained = set(re.findall(r"^\| `(submarine_reconcile_\w+)`", PAGE, re.M))
    assert explained == names and len(names) == 6


class Store:
    def __init__(self) -> None:
        self.kept: set[str] = set()

    def copies(self) -> set[str]:
        return set(self.kept)

    def copy(self, id: str) -> None:
        self.kept.add(id)


@pytest.mark.filterwarnings("error")
def test_the_example_runs(tmp_path: Path) -> None:
    class Table(DeclarativeBase):
        pass

    code = re.findall(r"```python\n(.*?)```", PAGE, re.S)[0]
    names: dict[str, Any] = {
        "Table": Table, "Reconciled": Reconciled, "Mapped": Mapped, "mapped_column": mapped_column, "String": String,
        "Mapping": Mapping, "Sequence": Sequence, "Session": Session, "Store": Store, "Outcome": Outcome, "Event": Event,
        "ClusterUnavailable": ClusterUnavailable, "due_ms": due_ms, "leases": leases, "__name__": "example",
    }  # fmt: skip
    exec(compile(code, "docs/engine.md", "exec", dont_inherit=True), names)
    database = Database(f"sqlite:///{tmp_path}/backups.db")
    Table.metadata.create_all(database.engine)
    stores, workers = {"one": Store()}, ByHand()
    row = names["BackupRow"]
    with database.session(write=True) as session:
        session.add(row(id="x", cluster="one", generation=1, next_check_ms=due_ms()))
    engine: Any = Engine(names["Backups"](stores), database, Lessee("a", LEASE_MS, own_clock=CLOCK), runner=workers)
    for _ in range(3):
        engine.tick()
        workers.run()
    with database.session() as session:
        kept = session.get_one(row, "x")
        assert (kept.status, kept.next_check_ms) == ("Kept", None)
    database.close()
