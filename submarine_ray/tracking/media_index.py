"""Which images, tables and the like runs have: a table of ours beside MLflow's, so that nobody lists directories.

What it has no row of is still an artifact. `db upgrade` of MLflow knows its own tables only, and leaves ours alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    MetaData,
    String,
    Table,
    column,
    func,
    insert,
    select,
    table,
)
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from submarine_ray.core.database import Database, LongText, exact_text
from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.spec.answers.media import MediaGroup, MediaItem, Wanted
from submarine_ray.spec.spool.media import MAX_KEY, MediaHeader
from submarine_ray.spec.tags import EXPERIMENT_TAG, SWEEP_TAG

TRIES = 3
_NAMES_A_QUERY = 500
_TABLE = Table(
    "submarine_media",
    MetaData(),
    Column("run_uuid", String(32), primary_key=True),
    Column("name", String(36), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("key", exact_text(MAX_KEY), nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("suffix", String(8), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("caption", LongText, nullable=False),
    Column("preview", BigInteger, nullable=False),
    Column("width", BigInteger, nullable=False),
    Column("height", BigInteger, nullable=False),
    Column("content", LongText, nullable=True),
    Index("ix_submarine_media_key", "run_uuid", "kind", "key", "step"),
    Index("ix_submarine_media_name", "name"),
    mysql_charset="utf8mb4",
    mariadb_charset="utf8mb4",
)
_ITEM = _TABLE.c
_RUNS = table("runs", column("run_uuid", String), column("lifecycle_stage", String), column("artifact_uri", String))
_TAGS = table("tags", column("run_uuid", String), column("key", String), column("value", String))
_HEADER = [one.name for one in fields(MediaHeader)]
_COLUMNS: list[Column[Any]] = [_ITEM.run_uuid, *(_ITEM[name] for name in _HEADER)]
Runs = Mapping[str, str]
"""MLflow's ids of some runs, and which replica each is of."""


class Entry(NamedTuple):
    """A header, and the content itself where it is a short text: it is shown without a look at the artifacts."""

    header: MediaHeader
    content: str | None = None


class Place(NamedTuple):
    """Where an item lies: at which artifact URI, in a run of which experiment."""

    header: MediaHeader
    run_id: str
    artifact_uri: str
    experiment_id: str | None


class MediaIndex:
    """All SQL of the index; `database` is MLflow's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prepare(self) -> None:
        """Make the table, once MLflow has made its own."""
        _TABLE.metadata.create_all(self._database.engine)

    def check_run(self, run_id: str) -> str:
        """Where the artifacts of a run lie. Raises NotFound, InvalidSpec: it is deleted."""
        with self._database.session() as session:
            found = session.execute(
                select(_RUNS.c.lifecycle_stage, _RUNS.c.artifact_uri).where(_RUNS.c.run_uuid == run_id)
            ).first()
        if found is None:
            raise NotFound(f"Run with id={run_id} not found")
        if found[0] != "active":
            raise InvalidSpec(f"The run {run_id} must be in the 'active' state. Current state is {found[0]}.")
        return str(found[1])

    def add(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Add those items that are not there. Raises DatabaseUnavailable."""
        for tried in range(1, TRIES + 1):
            try:
                self._add(run_id, entries)
                return
            except IntegrityError:  # another has added some of them first
                if tried == TRIES:
                    raise

    def _add(self, run_id: str, entries: Sequence[Entry]) -> None:
        with self._database.session(write=True) as session:
            known = set[str]()
            names = [entry.header.name for entry in entries]
            for first in range(0, len(names), _NAMES_A_QUERY):
                some = _ITEM.name.in_(names[first : first + _NAMES_A_QUERY])
                known |= set(session.scalars(select(_ITEM.name).where(_ITEM.run_uuid == run_id, some)))
            new = {entry.header.name: entry for entry in entries if entry.header.name not in known}
            if new:
                rows = [{"run_uuid": run_id, **asdict(one.header), "content": one.content} for one in new.values()]
                session.execute(insert(_TABLE), rows)

    def groups(self, runs: Collection[str]) -> list[MediaGroup]:
        """What some runs have, by kind and key."""
        query = (
            select(_ITEM.kind, _ITEM.key, func.count(), func.min(_ITEM.step), func.max(_ITEM.step))
            .where(_ITEM.run_uuid.in_(runs))
            .group_by(_ITEM.kind, _ITEM.key)
            .order_by(_ITEM.kind, _ITEM.key)
        )
        with self._database.session() as session:
            return [
                MediaGroup(kind=kind, key=key, count=count, first_step=first, last_step=last)
                for kind, key, count, first, last in session.execute(query)
            ]

    def counts(self, runs: Collection[str]) -> dict[str, int]:
        """How many items each of some runs has; those with none are left out."""
        query = select(_ITEM.run_uuid, func.count()).where(_ITEM.run_uuid.in_(runs)).group_by(_ITEM.run_uuid)
        with self._database.session() as session:
            return dict(session.execute(query).all())

    def steps(self, runs: Collection[str], kind: str, key: str) -> list[int]:
        """The steps at which something was logged with a key, in order."""
        mine = _ITEM.run_uuid.in_(runs), _ITEM.kind == kind, _ITEM.key == key
        with self._database.session() as session:
            return list(session.scalars(select(_ITEM.step).where(*mine).distinct().order_by(_ITEM.step)))

    def items(self, runs: Runs, wanted: Wanted, limit: int, offset: int = 0) -> tuple[list[MediaItem], int]:
        """Items of some runs, by kind, key, step, replica and time; and how many there are in all."""
        query = select(*_COLUMNS).where(*_matching(runs, wanted))
        query = query.order_by(_ITEM.kind, _ITEM.key, _ITEM.step, _ITEM.run_uuid, _ITEM.timestamp, _ITEM.name)
        with self._database.session() as session:
            total = session.scalar(select(func.count()).select_from(_TABLE).where(*_matching(runs, wanted))) or 0
            return [_item(row, runs) for row in session.execute(query.limit(limit).offset(offset))], total

    def contents(self, runs: Runs, kind: str, key: str, steps: Collection[int]) -> list[tuple[MediaItem, str]]:
        """The short texts that are kept here, by step and time."""
        query = select(*_COLUMNS, _ITEM.content).where(*_matching(runs, Wanted(kind, key)))
        query = query.where(_ITEM.content.is_not(None), _ITEM.step.in_(steps))
        with self._database.session() as session:
            rows = session.execute(query.order_by(_ITEM.step, _ITEM.timestamp))
            return [(_item(row, runs), row.content) for row in rows]

    def place(self, name: str) -> list[Place]:
        """Where the items of a name lie: one, unless somebody has given two runs the same."""
        whose = _TAGS.c.key.in_((EXPERIMENT_TAG, SWEEP_TAG)), _TAGS.c.run_uuid == _ITEM.run_uuid
        owner = select(func.max(_TAGS.c.value)).where(*whose).correlate(_TABLE).scalar_subquery()
        query = (
            select(*_COLUMNS, _RUNS.c.artifact_uri, owner.label("owner"))
            .join(_RUNS, _RUNS.c.run_uuid == _ITEM.run_uuid)
            .where(_ITEM.name == name, _RUNS.c.lifecycle_stage == "active")
        )
        with self._database.session() as session:
            return [Place(_header(row), row.run_uuid, row.artifact_uri, row.owner) for row in session.execute(query)]

    def with_tag(self, runs: Collection[str], key: str) -> dict[str, str]:
        """Those of some runs that have a tag, and its value."""
        query = select(_TAGS.c.run_uuid, _TAGS.c.value).where(_TAGS.c.run_uuid.in_(runs), _TAGS.c.key == key)
        with self._database.session() as session:
            return dict(session.execute(query).all())


def _matching(runs: Iterable[str], wanted: Wanted) -> list[ColumnElement[bool]]:
    given = {name: getattr(wanted, name) for name in ("kind", "key", "step")}
    equal = [_ITEM[name] == value for name, value in given.items() if value is not None]
    return [_ITEM.run_uuid.in_(list(runs)), *equal]


def _header(row: Row[*tuple[Any, ...]]) -> MediaHeader:
    return MediaHeader(**{name: row._mapping[name] for name in _HEADER})


def _item(row: Row[*tuple[Any, ...]], runs: Runs) -> MediaItem:
    header = _header(row)
    run = str(row._mapping["run_uuid"])
    return MediaItem(
        name=header.name,
        kind=header.kind,
        key=header.key,
        step=header.step,
        replica=runs[run],
        caption=header.caption,
        timestamp=header.timestamp,
        size=header.size,
        width=header.width,
        height=header.height,
        has_preview=header.preview > 0,
        run_id=run,
        path=header.path,
    )
