"""Documents that users write, sealed in the database: a column of type Sealed cannot be written or read in clear.

A value is opened when it is looked into, not when its row is read: lists and loops that need a row's other columns
cost no more, and a lost key fails what needs the document and nothing beside it.
"""

from __future__ import annotations

import sqlite3
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import Column, Dialect, Engine, Text, select, type_coerce, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.types import TypeDecorator

from submarine_ray.core.database import Database, LongText, Table
from submarine_ray.core.errors import SecretLost
from submarine_ray.core.secrets import SecretBox
from submarine_ray.spec import masks

log = structlog.get_logger(__name__)

PREFIX = "sealed:"
BATCH = 500

# By engine: each database of a process has its own key.
_boxes: WeakKeyDictionary[Dialect, SecretBox] = WeakKeyDictionary()


class Kept:
    """A document as it is kept: `text` opens it."""

    __slots__ = ("_box", "_sealed", "_text")

    def __init__(self, text: str) -> None:
        self._text: str | None = text
        self._sealed: str | None = None
        self._box: SecretBox | None = None

    @classmethod
    def sealed(cls, sealed: str, box: SecretBox | None) -> Kept:
        kept = cls("")
        kept._text, kept._sealed, kept._box = None, sealed, box
        return kept

    @property
    def text(self) -> str:
        """In clear. Raises SecretLost if it was sealed with another key."""
        if self._text is None:
            self._text = _needed(self._box).open(self._sealed or "")
        return self._text

    def for_storage(self, box: SecretBox | None) -> str:
        if self._sealed is not None:
            return PREFIX + self._sealed
        return PREFIX + _needed(box).seal(self.text)


class Sealed(TypeDecorator[Kept]):
    """A column of documents. Rows from before there was sealing are read as they are, and sealed at the next start."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: Kept | str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return (Kept(value) if isinstance(value, str) else value).for_storage(_boxes.get(dialect))

    def process_result_value(self, value: object, dialect: Dialect) -> Kept | None:
        if value is None:
            return None
        stored = str(value)
        if not stored.startswith(PREFIX):
            return Kept(stored)
        return Kept.sealed(stored.removeprefix(PREFIX), _boxes.get(dialect))


class Told(TypeDecorator[str]):
    """A column of sentences for people: what URLs in them have to sign in is not kept."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else masks.text(value)


def use(engine: Engine, box: SecretBox) -> None:
    """Seal and open what this engine writes and reads with a key."""
    _boxes[engine.dialect] = box


def seal_all(database: Database) -> int:
    """Seal what is still in clear, a batch a transaction, so that it may be stopped and goes on at the next start."""
    columns = [(t, c) for t in Table.metadata.sorted_tables for c in t.columns if isinstance(c.type, Sealed)]
    count = sum(_seal_column(database, table, column) for table, column in columns)
    if count:
        log.info("documents.sealed", count=count)
        _wipe(database)
    return count


def check_key(database: Database) -> None:
    """Say at the start, rather than at the first experiment, that the key is another one."""
    columns = [(t, c) for t in Table.metadata.sorted_tables for c in t.columns if isinstance(c.type, Sealed)]
    with database.session() as session:
        newest = [
            session.scalar(
                select(column).where(column.is_not(None)).order_by(table.primary_key.columns[0].desc()).limit(1)
            )
            for table, column in columns
        ]
    try:
        for kept in filter(None, newest):
            kept.text  # noqa: B018
    except SecretLost as failure:
        log.error("documents.key_lost", why=str(failure))


def _seal_column(database: Database, table: SqlTable, column: Column[Kept]) -> int:
    (key,) = table.primary_key.columns
    raw = type_coerce(column, Text)
    in_clear = raw.not_like(f"{PREFIX}%")
    count = 0
    while True:
        with database.session() as session:
            keys = session.scalars(select(key).where(in_clear).order_by(key).limit(BATCH)).all()
        if not keys:
            return count
        with database.session(write=True) as session:  # which locks these rows alone: other services may be at work
            rows = session.execute(select(key, raw).where(key.in_(keys), in_clear).with_for_update()).all()
            for found, clear in rows:
                session.execute(update(table).where(key == found).values({column: Kept(clear)}))
        count += len(rows)


def _wipe(database: Database) -> None:
    """SQLite leaves what was overwritten in free pages and in its log; a rewritten file has none of it."""
    if database.engine.dialect.name != "sqlite":
        return
    connection = database.engine.raw_connection()  # a transaction could not rewrite the file that it is in
    try:
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            connection.cursor().execute(statement)
    except sqlite3.Error as failure:  # most likely a full disk: no reason not to start
        log.warning("documents.left_in_free_pages", why=str(failure), hint="stop the service and run VACUUM")
    finally:
        connection.close()


def _needed(box: SecretBox | None) -> SecretBox:
    if box is None:
        raise RuntimeError("this database was opened without the key of its documents; see sealed.use")
    return box
