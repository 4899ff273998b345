"""The store on SQLite and on a real MariaDB."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from submarine_ray.core import leases, sealed
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, DatabaseUnavailable, SecretLost
from submarine_ray.core.events import Event, history
from submarine_ray.core.leases import Lessee
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments import repository
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.filters import Filter
from submarine_ray.spec.quantities import Resources
from tests.conftest import MariaDb

pytestmark = pytest.mark.db


def row(id: str, **changes: object) -> ExperimentRow:
    values = {
        "id": id, "uid": "u", "name": "n", "framework": "Shell", "cluster": "local", "spec": "{}", "generation": 1, "wanted": "run",
        "status": "Accepted", "accepted_ms": now_ms(), "next_check_ms": now_ms(), "superseded": "",
    }  # fmt: skip
    return ExperimentRow(**(values | changes))


def add(database: Database, *rows: ExperimentRow) -> None:
    for item in rows:
        with database.session(write=True) as session:
            repository.add(session, item, [Event("Accepted", "é ☃", None, "Accepted")])


def test_packages_that_experiments_refer_to(database: Database) -> None:
    add(database, row("e-1", package="package://a"), row("e-2", package="package://a"), row("e-3"))
    with database.session() as session:
        assert repository.packages(session) == {"package://a"}


def test_what_waits_for_something_else_takes_no_place_in_the_queue(database: Database) -> None:
    later = now_ms() + 60_000
    add(
        database,
        row("e-1", reason="CodeWaits", next_check_ms=later),  # its disk is full: looked at again in a minute
        row("e-2", reason="CodeWaits"),  # and this one just now
        row("e-3", reason="Queued", next_check_ms=now_ms() + 3_000),
        row("e-4", next_check_ms=now_ms() + 2_000),
        row("e-7", next_check_ms=later),  # it has failed again and again, and is left alone
        row("e-8", demand_cpu=9),
        row("e-5", wanted="stop"),
        row("e-6", cluster="other"),
    )
    with database.session() as session:
        found = repository.waiting(session, "local", Resources(4), 9)
        assert [one.id for one in found] == ["e-2", "e-3", "e-4"]
        assert {one.id for one in repository.still_waiting(session, ["e-1", "e-2", "e-5", "e-8"])} == {"e-2", "e-8"}


def test_a_row_is_leased_once(database: Database) -> None:
    add(database, *(row(f"e-{i:03d}") for i in range(60)))
    won: list[str] = []
    failed: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(10):
                with database.session(write=True) as session:
                    won.extend(r.id for r in leases.claim(session, ExperimentRow, Lessee(name, 60_000), 10))
        except BaseException as failure:
            failed.append(failure)

    threads = [threading.Thread(target=work, args=(f"service-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not [f for f in failed if not isinstance(f, DatabaseUnavailable)]
    assert len(won) == len(set(won))


def test_a_lost_lease_or_a_changed_wish_writes_nothing(database: Database) -> None:
    add(database, row("a"), row("b"))
    with database.session(write=True) as session:
        claimed = {r.id: r for r in leases.claim(session, ExperimentRow, Lessee("one", 60_000), 10)}
    with database.session(write=True) as session:
        found = repository.find(session, "b", lock=True)
        assert found
        found.generation += 1
    with database.session(write=True) as session:
        assert repository.apply(
            session, claimed["a"], {"status": "Created"}, [Event("Submitted", "", "Accepted", "Created")]
        )
        assert not repository.apply(session, claimed["b"], {"status": "Created"}, [Event("Submitted", "")])
        assert not repository.apply(session, claimed["a"], {"status": "Failed"}, [])
    with database.session() as session:
        a, b = repository.find(session, "a"), repository.find(session, "b")
        assert a and b
        assert (a.status, b.status, b.lock_token) == ("Created", "Accepted", None)
        assert [e.reason for e in history(session, "a")] == ["Accepted", "Submitted"]
        assert history(session, "a")[0].message == "é ☃"


def test_a_restarted_service_frees_only_its_own_leases(database: Database) -> None:
    add(database, row("a"), row("b"))
    with database.session(write=True) as session:
        leases.claim(session, ExperimentRow, Lessee("one", 60_000), 1)
    with database.session(write=True) as session:
        leases.claim(session, ExperimentRow, Lessee("two", 60_000), 1)
    with database.session(write=True) as session:
        leases.recover(session, ExperimentRow, Lessee("one", 60_000))
    with database.session(write=True) as session:
        assert len(leases.claim(session, ExperimentRow, Lessee("three", 60_000), 10)) == 1


def test_an_id_is_taken_once(database: Database) -> None:
    add(database, row("a"))
    with pytest.raises(AlreadyExists), database.session(write=True) as session:
        repository.add(session, row("a"), [])


def test_pages_counts_and_queue(database: Database) -> None:
    add(
        database,
        *(row(f"e-{i}", accepted_ms=i, demand_cpu=0.5, status="Running" if i < 3 else "Accepted") for i in range(10)),
        *(row(f"f-{reason}", accepted_ms=-9, status="Failed", reason=reason) for reason in (None, "Lost", "Stopped")),
    )
    with database.session() as session:
        assert [r.id for r in repository.page(session, Filter(), 2, 3)] == ["e-7", "e-6", "e-5"]
        assert repository.count(session, Filter("Running")) == 3
        assert repository.count_by_state(session) == {"Running": 3, "Accepted": 7, "Failed": 2, "Stopped": 1}
        assert repository.count(session, Filter("Failed")) == 3  # as Submarine has it
        seen = {
            state: repository.page(session, Filter(state=state), 0, 9) for state in ("Failed", "Stopped", "Running")
        }
        assert {one.id for one in seen["Failed"]} == {"f-None", "f-Lost"} and len(seen["Running"]) == 3
        assert [one.id for one in seen["Stopped"]] == ["f-Stopped"]
        assert [one.id for one in repository.active(session, "local")] == ["e-0", "e-1", "e-2"]
        assert [one.id for one in repository.waiting(session, "local", Resources(1), 2)] == ["e-3", "e-4"]


def test_migrations_make_what_the_tables_say(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    import submarine_ray.app  # noqa: F401 (it knows all tables)
    from submarine_ray.core.database import Table

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Table.metadata) == []


def test_experiments_are_counted_by_day_and_framework(database: Database) -> None:
    day = repository.DAY_MS
    for id, at in (("a", 3 * day - 1), ("b", 3 * day), ("c", 4 * day - 1), ("d", 5 * day)):
        add(database, row(id, accepted_ms=at))
    add(database, row("gone", accepted_ms=5 * day, status="Deleted"))
    with database.session() as session:
        assert repository.count_by_day(session, 3) == {3: 2, 5: 1}
        assert repository.count_by_framework(session) == {"Shell": 4}


def test_owners_of_older_experiments_are_found(database: Database) -> None:
    import json

    from alembic import command
    from alembic.config import Config
    from sqlalchemy import text

    config = Config()
    config.set_main_option("script_location", "submarine_ray:migrations")
    config.attributes["engine"] = database.engine
    for id, owner in (("a", "ada"), ("b", None)):
        add(database, row(id))
        with database.engine.begin() as connection:  # as it was before specs were sealed
            clear = {"id": id, "spec": json.dumps({"meta": {"name": id, "owner": owner}})}
            connection.execute(text("UPDATE experiment SET spec = :spec WHERE id = :id"), clear)
    command.downgrade(config, "0006")
    command.upgrade(config, "head")
    with database.session() as session:
        assert [found.id for found in repository.page(session, Filter(owner="ada"), 0, 10)] == ["a"]
        assert repository.choices(session).owners == ["ada"]


def test_a_stopped_database_is_said_and_resumed(mariadb: MariaDb, tmp_path: Path) -> None:
    import time

    database = Database(mariadb.database("outage"))
    sealed.use(database.engine, SecretBox(tmp_path / "secret.key"))
    database.migrate()
    add(database, row("a"))
    mariadb.stop()
    try:
        begun = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="does not answer"), database.session() as session:
            repository.find(session, "a")
        assert time.monotonic() - begun < 15  # no hang: the connect timeout bounds it
    finally:
        mariadb.start()
    with database.session() as session:
        assert repository.find(session, "a")
    database.close()


def test_sqlite_is_in_wal_mode(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_what_is_in_clear_is_sealed_bit_by_bit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import text

    def stored() -> list[str]:
        with database.engine.connect() as connection:
            return list(connection.scalars(text("SELECT spec FROM experiment ORDER BY id")))

    sealed.seal_all(database)  # what the migrations have made
    monkeypatch.setattr(sealed, "BATCH", 2)
    add(database, *(row(f"e-{number}") for number in range(5)))
    before = stored()
    assert all(one.startswith("sealed:") for one in before)
    with database.engine.begin() as connection:  # as an earlier version, or a start that was cut short, has left it
        connection.execute(text("UPDATE experiment SET spec = '{\"a\": \"c4nary\"}' WHERE id <> 'e-3'"))
    assert sealed.seal_all(database) == 4 and sealed.seal_all(database) == 0
    assert all(one.startswith("sealed:") for one in stored()) and stored()[3] == before[3]
    with database.session() as session:
        assert [one.spec.text for one in repository.page(session, Filter(), 0, 10)].count('{"a": "c4nary"}') == 4


def test_a_lost_key_opens_nothing_and_lists_everything(database: Database, tmp_path: Path) -> None:
    add(database, row("a", environment="{}"))
    sealed.use(database.engine, SecretBox(tmp_path / "other.key"))
    with database.session() as session:
        (found,) = repository.page(session, Filter(), 0, 10)
        with pytest.raises(SecretLost, match="is not the key that it was sealed with"):
            found.spec.text  # noqa: B018
