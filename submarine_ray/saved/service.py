"""The rules of saved documents: who sees them, who changes them, and what they may hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from submarine_ray.access.acting import acting_user
from submarine_ray.core import events
from submarine_ray.core.clock import moment, now_ms
from submarine_ray.core.database import Database, Session
from submarine_ray.core.errors import AlreadyExists, Conflict, Forbidden, InvalidSpec, NotFound
from submarine_ray.core.events import Event
from submarine_ray.core.ids import IdFactory
from submarine_ray.saved import repository
from submarine_ray.saved.kinds import KINDS
from submarine_ray.saved.tables import SavedRow
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.problems import sentence
from submarine_ray.spec.saved import MOST_BYTES, Audience

MOST = 1_000  # of a kind and an owner
Model = TypeVar("Model", bound=BaseModel)


class SavedService:
    """Keeps documents for users. The user is who the request is from (`access/acting.py`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = IdFactory("saved")

    def list(self, kind: str) -> Sequence[Saved]:
        """The documents of a kind that the user may see, by name. Raises NotFound for an unknown kind."""
        _model(kind)
        reader = acting_user()
        with self._database.session() as session:
            return [_answer(row, reader) for row in repository.list_all(session, kind, reader)]

    def names(self, kind: str) -> Sequence[tuple[str, str]]:
        """The ids and names of the documents of a kind that the user may see, by name. Raises NotFound."""
        _model(kind)
        with self._database.session() as session:
            return repository.names(session, kind, acting_user())

    def get(self, id: str, kind: str | None = None) -> Saved:
        """A document, of this kind where one is named. Raises NotFound."""
        reader = acting_user()
        with self._database.session() as session:
            return _answer(_found(repository.find(session, id, reader), id, kind), reader)

    def create(
        self, kind: str, name: str, document: dict[str, JsonValue] | BaseModel, audience: Audience = Audience.PRIVATE
    ) -> Saved:
        """Save a document. Raises NotFound for an unknown kind, InvalidSpec, AlreadyExists, Conflict."""
        owner, now = acting_user(), now_ms()
        row = SavedRow(
            id=self._ids.next(), kind=kind, name=name, owner=owner, audience=audience,
            document=_written(kind, document), created_ms=now, updated_ms=now,
        )  # fmt: skip
        with self._database.session(write=True) as session:
            if repository.count(session, kind, owner) >= MOST:
                raise Conflict(f"You have {MOST:,} saved documents of the kind {kind!r}; delete some of them first.")
            repository.add(session, row)
            if audience is Audience.TEAM:
                _tell(session, row)
        return _answer(row, owner)

    def change(
        self,
        id: str,
        *,
        kind: str | None = None,
        name: str | None = None,
        document: dict[str, JsonValue] | BaseModel | None = None,
        audience: Audience | None = None,
    ) -> Saved:
        """Change what is named. Raises NotFound, Forbidden for another user's, InvalidSpec, AlreadyExists."""
        owner = acting_user()
        with self._database.session(write=True) as session:
            row = _own(repository.find(session, id, owner, lock=True), id, kind, owner)
            if name is not None:
                if repository.has_name(session, row, name):
                    raise AlreadyExists(repository.is_taken(name))
                row.name = name
            if document is not None:
                row.document = _written(row.kind, document)
            if audience is not None:
                is_shared = audience is Audience.TEAM and row.audience != Audience.TEAM
                row.audience = audience
                if is_shared:
                    _tell(session, row)
            row.updated_ms = now_ms()
        return _answer(row, owner)

    def delete(self, id: str, kind: str | None = None) -> Saved:
        """Delete a document. Raises NotFound, Forbidden for another user's."""
        owner = acting_user()
        with self._database.session(write=True) as session:
            row = _own(repository.find(session, id, owner, lock=True), id, kind, owner)
            repository.remove(session, id)
            events.forget(session, _subject(row))
        return _answer(row, owner)


def read(saved: Saved, model: type[Model]) -> Model | None:
    """A document as its kind's model; None if a version before this one saved what the model refuses now."""
    try:
        return model.model_validate(saved.document)
    except ValidationError:
        return None


def _subject(row: SavedRow) -> str:
    return f"saved:{row.kind}:{row.id}"


def _tell(session: Session, row: SavedRow) -> None:
    """Others learn of what is shared with the team (notices/decide.py)."""
    shared = Event("Shared", f"{row.owner} shared {row.name!r} with the team.", None, str(Audience.TEAM))
    events.record(session, _subject(row), [shared])


def _model(kind: str) -> type[BaseModel]:
    if kind not in KINDS:
        raise NotFound(f"There are no saved documents of the kind {kind[:80]!r}. The kinds are {', '.join(KINDS)}.")
    return KINDS[kind]


def _written(kind: str, document: dict[str, JsonValue] | BaseModel) -> str:
    """The document as it is stored. Raises InvalidSpec for one that does not fit its kind."""
    model = _model(kind)
    try:
        given = document.model_dump() if isinstance(document, BaseModel) else document
        found = model.model_validate(given)
    except ValidationError as failure:
        raise InvalidSpec("; ".join(sentence(item) for item in failure.errors()[:10]), "document") from failure
    text = found.model_dump_json(by_alias=True, exclude_none=True)
    if (size := len(text.encode())) > MOST_BYTES:
        raise InvalidSpec(f"has {size:,} bytes; a saved document has at most {MOST_BYTES:,}", "document")
    return text


def _found(row: SavedRow | None, id: str, kind: str | None) -> SavedRow:
    if row is None or kind not in (None, row.kind):
        raise NotFound(f"Saved document not found. There is none with the id {id[:80]!r}.")
    return row


def _own(row: SavedRow | None, id: str, kind: str | None, owner: str) -> SavedRow:
    found = _found(row, id, kind)
    if found.owner != owner:
        raise Forbidden(
            f"{found.name!r} belongs to {found.owner}. Only its owner may change or delete it; save a copy."
        )
    return found


def _answer(row: SavedRow, reader: str) -> Saved:
    return Saved(
        id=row.id,
        kind=row.kind,
        name=row.name,
        owner=row.owner,
        is_own=row.owner == reader,
        audience=Audience(row.audience),
        document=json.loads(row.document),
        created_time=moment(row.created_ms),
        updated_time=moment(row.updated_ms),
    )
