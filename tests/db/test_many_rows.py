"""What the engine and admission ask again and again is answered by an index, however many experiments there were."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from submarine_ray.core import leases
from submarine_ray.core.clock import CLOCK
from submarine_ray.core.database import Database
from submarine_ray.core.leases import Lessee
from submarine_ray.experiments import repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.notebooks import repository as notebooks
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.filters import Filter
from submarine_ray.spec.quantities import Resources
from tests.conftest import MariaDb

pytestmark = [pytest.mark.db, pytest.mark.long]

ROWS, GOING = 100_000, 300  # of these, so many have not ended
READ = 2_000
ROOM = Resources(8.0, 2**40, 8.0)
LESSEE = Lessee("service", 30_000)

Ask = Callable[[Session], Any]


@pytest.fixture(scope="module")
def many(mariadb: MariaDb) -> Iterator[Database]:
    """An old installation: nearly all of its experiments have ended."""
    database = Database(mariadb.database(f"many_{uuid.uuid4().hex[:8]}"))
    database.migrate()
    now = CLOCK.due_ms()
    going = f"seq <= {GOING}"
    status = f"IF({going}, IF(MOD(seq, 3), 'Accepted', 'Running'), 'Succeeded')"
    with database.session(write=True) as session:
        filled = _insert(
            session, "experiment", accepted_ms=f"{now} - seq", next_check_ms=f"IF({going}, {now} - seq, NULL)",
            status=status, wanted="'run'", cluster="IF(MOD(seq, 2), 'local', 'far')", name="'test'",
        )  # fmt: skip
        filled += _insert(
            session, "notebook", created_ms=f"{now} - seq", next_check_ms=f"IF({going}, {now} - seq, NULL)",
            status=f"IF({going}, 'running', 'stopped')", wanted="'run'", cluster="IF(MOD(seq, 2), 'local', 'far')",
            name="CONCAT('n', seq)", namespace="'default'", taken="NULL",
        )  # fmt: skip
        assert filled == 2 * ROWS
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE TABLE experiment, notebook")
    yield database
    database.close()


def _insert(session: Session, table: str, **given: str) -> int:
    """Rows in bulk: `given` are columns as SQL; the others have what their type begins with."""
    columns = {"id": "CONCAT('x', seq)"}
    for name, kind, is_null, *_ in session.connection().exec_driver_sql(f"SHOW COLUMNS FROM `{table}`"):
        if is_null == "NO" or name in given:
            columns.setdefault(name, given.get(name) or ("1" if "int" in kind or "double" in kind else "''"))
    into, values = ", ".join(f"`{name}`" for name in columns), ", ".join(columns.values())
    done = session.connection().exec_driver_sql(f"INSERT INTO `{table}` ({into}) SELECT {values} FROM seq_1_to_{ROWS}")
    return done.rowcount


ASKED: dict[str, Ask] = {
    "claim": lambda s: leases.claim(s, ExperimentRow, LESSEE, 40, 32, ["x1"], {"away"}),
    "next due": lambda s: leases.next_due(s, ExperimentRow, CLOCK.due_ms(), ["x1"], {"away"}),
    "backlog": lambda s: leases.backlog(s, ExperimentRow, CLOCK.due_ms()),
    "renew": lambda s: leases.renew(s, ExperimentRow, LESSEE, {"x1": "service:1", "x2": "service:2"}),
    "give back": lambda s: leases.give_back(s, ExperimentRow, {"x1": "service:1"}),
    "wake": lambda s: leases.wake(s, ExperimentRow, ["x1", "x2"], CLOCK.due_ms()),
    "hasten": lambda s: leases.hasten(s, ExperimentRow, CLOCK.due_ms()),
    "waiting": lambda s: repository.waiting(s, "local", ROOM, 32),
    "still waiting": lambda s: repository.still_waiting(s, ["x1", "x2"]),
    "active": lambda s: repository.active(s, "local"),
    "unfinished": lambda s: repository.unfinished(s, "local"),
    "which": lambda s: repository.which(s, ["x1", "x2"]),
    "first page": lambda s: repository.page_after(s, Filter(), 20, None),
    "first page of a state": lambda s: repository.page(s, Filter(status="Running"), 0, 20),
    "notebooks: claim": lambda s: leases.claim(s, NotebookRow, LESSEE, 40, 32),
    "notebooks: next due": lambda s: leases.next_due(s, NotebookRow, CLOCK.due_ms()),
    "notebooks: waiting": lambda s: notebooks.waiting(s, "local", ROOM, 32),
    "notebooks: active": lambda s: notebooks.active(s, "local"),
    "notebooks: unfinished": lambda s: notebooks.unfinished(s, "local"),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_is_asked_again_and_again_reads_few_rows(many: Database, what: str) -> None:
    heard: list[tuple[str, Any]] = []

    def hear(_c: object, _cursor: object, statement: str, parameters: object, _x: object, _m: bool) -> None:
        if "experiment" in statement or "notebook" in statement:
            heard.append((statement, parameters))

    event.listen(many.engine, "before_cursor_execute", hear)
    with many.session(write=True) as session:
        ASKED[what](session)
        event.remove(many.engine, "before_cursor_execute", hear)
        assert heard
        for statement, parameters in heard:
            read, how = _explained(session.connection(), statement, parameters)
            assert read < READ, (statement, how)


def _explained(connection: Connection, statement: str, parameters: Any) -> tuple[int, list[Any]]:
    found = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings().all()
    return sum(int(str(row["rows"] or 0).split()[0]) for row in found), [dict(row) for row in found]
