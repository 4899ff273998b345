"""The database: SQLite (WAL) on a laptop, MySQL or MariaDB in production, through one synchronous engine."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from alembic import command
from alembic.config import Config
from pymysql.err import Error as DriverError
from sqlalchemy import Connection, Engine, MetaData, String, Text, create_engine, event, text
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, sessionmaker
from sqlalchemy.orm import Session as Session

from submarine_ray.core.errors import AlreadyExists, DatabaseUnavailable
from submarine_ray.spec import private

CONNECT_SECONDS = 3
STATEMENT_SECONDS = 20
POOL_WAIT_SECONDS = 5
LOCK_SECONDS = 10  # of one statement that waits; below STATEMENT_SECONDS
IDLE_SECONDS = 15  # of a transaction that has written and says no more; MariaDB ends it
ALONE_SECONDS = 300.0  # a migration of large tables takes its time

AWAY = (DatabaseUnavailable, OperationalError)
"""What says that a database does not answer: of our sessions, and of engines that a library makes."""

# MySQL's TEXT ends at 64 KB; a spec with a long command must fit.
LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")


def exact_text(length: int) -> String:
    """A text in which `Loss` and `loss` are two, on every database."""
    return String(length).with_variant(VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


class Table(DeclarativeBase):
    """Base of all tables; constraint names are fixed so that migrations can name them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Database:
    """Sessions on one engine; every failure of the database itself becomes DatabaseUnavailable."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._file = None if self.engine.dialect.name != "sqlite" else OpenFile(Path(url.removeprefix("sqlite:///")))
        self._is_lost = False
        self._write_turn = threading.Lock()

    @contextmanager
    def session(self, write: bool = False) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back on error. No network call belongs inside.

        With `write`, the write lock is taken now where the database has but one (SQLite): a transaction that reads
        first and writes later cannot wait for another writer there, it fails at once.
        """
        if write and self._is_lost:
            raise DatabaseUnavailable(
                "The file of the database is gone: what is written now would be lost. /health has more."
            )
        try:
            with self._turn(write), self._sessions() as session, session.begin():
                if write:
                    session.connection(execution_options={"write": True})
                yield session
        except (OperationalError, PoolTimeout) as failure:
            raise DatabaseUnavailable("The database does not answer; try again in a moment.") from failure
        except DBAPIError as failure:
            if not failure.connection_invalidated:
                raise
            raise DatabaseUnavailable("The database's connection was lost; try again in a moment.") from failure

    @contextmanager
    def _turn(self, write: bool) -> Iterator[None]:
        """SQLite lets one write at a time, and who waits looks again after 1, 2, 5, 10 and more ms. The threads of this
        process wait here instead: the next one begins as soon as the one before has ended.
        """
        if not write or self.engine.dialect.name != "sqlite":
            yield
            return
        if not self._write_turn.acquire(timeout=STATEMENT_SECONDS):
            raise DatabaseUnavailable("The database is busy with other changes; try again in a moment.")
        try:
            yield
        finally:
            self._write_turn.release()

    def lost(self) -> str | None:
        """What has become of a SQLite file that this service has open and nobody else will find; None if it is there.

        From then on nothing is written any more: it would be lost with this process.
        """
        said = self._file.problem() if self._file else None
        self._is_lost = said is not None
        return said

    def is_up(self) -> bool:
        try:
            with self.session() as session:
                session.execute(text("SELECT 1"))
        except (DatabaseUnavailable, SQLAlchemyError):
            return False
        return True

    def migrate(self) -> None:
        """Bring the schema to this version's."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
        config.attributes["engine"] = self.engine
        with self.alone("submarine_migration"):
            command.upgrade(config, "head")
        self.lost()  # the file that is open is the one to watch

    @contextmanager
    def alone(self, lock: str) -> Iterator[None]:
        """Services do this one after the other (MySQL; a SQLite file has one service). Raises DatabaseUnavailable."""
        if self.engine.dialect.name == "sqlite":
            yield
            return
        with self.engine.connect() as connection:
            # Such locks are the server's; another installation may have its database there.
            name = hashlib.sha256(f"{self.engine.url.database} {lock}".encode()).hexdigest()[:40]
            deadline = time.monotonic() + ALONE_SECONDS
            while not connection.scalar(text("SELECT GET_LOCK(:lock, :wait)"), {"lock": name, "wait": LOCK_SECONDS}):
                if time.monotonic() > deadline:
                    raise DatabaseUnavailable("Another control service has been starting for too long.")
            try:
                yield
            except BaseException:
                connection.invalidate()  # the lock goes with the connection's session, which the pool would keep
                raise
            try:
                connection.execute(text("DO RELEASE_LOCK(:lock)"), {"lock": name})
            except DBAPIError:  # what was to be done is done, and a connection that is lost holds no lock
                connection.invalidate()

    def close(self) -> None:
        self.engine.dispose()


_RESCUE = (
    "Nothing is written any more. Before the service is restarted, copy the file that it still has open, and its -wal "
    "file, out of /proc/PID/fd: everything is in there."
)


class OpenFile:
    """A file that stays open under one path; it may be removed or replaced there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: tuple[int, int] | None = None

    def problem(self) -> str | None:
        """What has happened to it since it was first seen, and what to do."""
        try:
            found = self._path.stat()
        except OSError:
            if self._first is None:
                return None
            return f"its file was removed. {_RESCUE}"
        if self._first is None:
            self._first = (found.st_dev, found.st_ino)
        if self._first != (found.st_dev, found.st_ino):
            return f"its file was replaced. {_RESCUE}"
        return None


def add_new(session: Session, row: Table, is_taken: str) -> None:
    """Write a row at once. Raises AlreadyExists, with this message, where another one has its name."""
    session.add(row)
    try:
        session.flush()
    except IntegrityError as failure:
        raise AlreadyExists(is_taken) from failure


def hold_up_nobody(engine: Engine) -> None:
    """A service that is suspended in the middle of a transaction shall hold up the others for a moment only."""
    if engine.dialect.name != "sqlite":
        event.listen(engine, "connect", _let_go_of_rows)


def _let_go_of_rows(connection: DBAPIConnection, _record: object) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}")
        with suppress(DriverError):  # MySQL does not have it
            cursor.execute(f"SET SESSION idle_write_transaction_timeout = {IDLE_SECONDS}")


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        timeouts = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": STATEMENT_SECONDS,
            "write_timeout": STATEMENT_SECONDS,
        }
        server = create_engine(
            url,
            connect_args=timeouts,
            pool_size=10,
            max_overflow=30,
            pool_timeout=POOL_WAIT_SECONDS,
            pool_pre_ping=True,
            pool_recycle=1800,
            isolation_level="READ COMMITTED",
        )
        hold_up_nobody(server)
        return server
    private.file(Path(url.removeprefix("sqlite:///")))  # SQLite makes the files beside it with the same mode
    engine = create_engine(url, pool_size=10, max_overflow=30, pool_timeout=POOL_WAIT_SECONDS)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below, not the driver's late one
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute(f"PRAGMA busy_timeout={STATEMENT_SECONDS * 1000}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine
