"""Writes of one process on SQLite wait for each other in it, not in SQLite."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from submarine_ray.core import database as module
from submarine_ray.core.database import Database
from submarine_ray.core.errors import DatabaseUnavailable

THREADS, TIMES = 4, 25


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """One whose SQLite waits for nobody."""
    made = Database(f"sqlite:///{tmp_path}/test.db")

    @event.listens_for(made.engine, "connect")
    def _impatient(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout=0")

    with made.session(write=True) as session:
        session.execute(text("CREATE TABLE sum (n INTEGER)"))
        session.execute(text("INSERT INTO sum VALUES (0)"))
    return made


def test_writers_come_one_after_the_other(database: Database) -> None:
    def add() -> None:
        for _ in range(TIMES):
            with database.session(write=True) as session:
                session.execute(text("UPDATE sum SET n = n + 1"))

    with ThreadPoolExecutor(THREADS) as pool:
        for ended in [pool.submit(add) for _ in range(THREADS)]:
            ended.result()
    with database.session() as session:
        assert session.scalar(text("SELECT n FROM sum")) == THREADS * TIMES


def test_who_reads_waits_for_no_writer(database: Database) -> None:
    with database.session(write=True) as session:
        session.execute(text("UPDATE sum SET n = 7"))
        with ThreadPoolExecutor(1) as pool, database.session() as other:
            assert pool.submit(lambda: other.scalar(text("SELECT n FROM sum"))).result(10) == 0


def test_a_write_that_failed_lets_the_next_one_begin(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.session(write=True):
        raise ZeroDivisionError
    with database.session(write=True) as session:
        session.execute(text("UPDATE sum SET n = 1"))


def test_a_writer_that_stays_is_not_waited_for_without_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATEMENT_SECONDS", 0.05)
    begun, done = threading.Event(), threading.Event()

    def stay() -> None:
        with database.session(write=True):
            begun.set()
            done.wait(10)

    with ThreadPoolExecutor(1) as pool:
        staying = pool.submit(stay)
        assert begun.wait(10)
        with pytest.raises(DatabaseUnavailable, match="busy"), database.session(write=True):
            pass
        done.set()
        staying.result()
