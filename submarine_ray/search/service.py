"""The rules of searches, favourites and what was opened last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import structlog

from submarine_ray.access.acting import acting_user
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, Conflict, InvalidSpec, NotFound, SubmarineError
from submarine_ray.search import repository
from submarine_ray.search.repository import Thing
from submarine_ray.search.sources import Item, Source
from submarine_ray.search.tables import KEY_LENGTH
from submarine_ray.spec import matching
from submarine_ray.spec.answers.search import Found, Opened
from submarine_ray.spec.places import STARRED, ObjectKind, path

log = structlog.get_logger(__name__)

LIMIT, MOST = 6, 50  # of a kind
RECENT = 10
MOST_STARRED = 100


class SearchService:
    """The user is who the request is from (`access/acting.py`)."""

    def __init__(self, database: Database, sources: Mapping[ObjectKind, Source]) -> None:
        self._database = database
        self._sources = sources

    def search(self, text: str, kinds: Sequence[ObjectKind] = (), limit: int = LIMIT) -> list[Found]:
        """What matches a text, kind by kind, the best of each first. Of a kind whose source does not answer, as MLflow
        while it starts, nothing is found.
        """
        if not matching.words(text):
            return []
        items: list[Item] = []
        for kind, source in self._sources.items():
            if not kinds or kind in kinds:
                try:
                    items += source.search(text, limit)
                except SubmarineError as failure:
                    log.info("search.kind_left_out", kind=kind, why=str(failure))
        with self._database.session() as session:
            marked = repository.starred_of(session, acting_user(), [_thing(item) for item in items])
        return [_found(item, marked) for item in items]

    def opened(self, limit: int = RECENT) -> Opened:
        """The user's favourites, and what they opened last."""
        return self.opened_by(acting_user(), limit)

    def opened_by(self, user: str, limit: int = RECENT) -> Opened:
        """The same of a user who is named: for pages, whose answers are shared (workbench/query_cache.py)."""
        with self._database.session() as session:
            marked = repository.starred(session, user)
            # Some of them may be gone by now.
            recent = repository.recent(session, user, 3 * limit)
        items = self._items([*marked, *recent])
        shown = set(marked)
        return Opened(
            starred=[_found(items[one], shown) for one in marked if one in items],
            recent=[_found(items[one], shown) for one in recent if one in items][:limit],
        )

    def names(self, keys: Collection[tuple[ObjectKind, str]]) -> dict[tuple[ObjectKind, str], str]:
        """What those of some things are called that are there."""
        found = self._items(Thing(kind, key) for kind, key in keys)
        return {(thing.kind, thing.key): item.name for thing, item in found.items()}

    def note_opened(self, kind: ObjectKind, key: str) -> bool:
        """The user has opened a page. Whether its thing is a favourite."""
        if len(key) > KEY_LENGTH:
            return False
        try:
            with self._database.session(write=True) as session:
                return repository.opened(session, acting_user(), Thing(kind, key), now_ms())
        except AlreadyExists:  # in two tabs at once, and not marked yet
            return False

    def star(self, kind: ObjectKind, key: str, wanted: bool) -> None:
        """Make something a favourite, or no longer; neither is an error if it is so already.

        Raises InvalidSpec for a kind that has no favourites, NotFound, Conflict for one too many.
        """
        if kind not in STARRED:
            raise InvalidSpec(f"{kind} cannot be a favourite; these kinds can: {', '.join(STARRED)}", "kind")
        if len(key) > KEY_LENGTH:
            raise InvalidSpec(f"a favourite's key has at most {KEY_LENGTH} characters", "key")
        thing, user = Thing(kind, key), acting_user()
        if wanted and thing not in self._items([thing]):
            raise NotFound(f"There is no {kind} {key[:80]!r}.")
        try:
            self._star(user, thing, wanted)
        except AlreadyExists:  # another request has noted the thing at this moment
            self._star(user, thing, wanted)

    def _star(self, user: str, thing: Thing, wanted: bool) -> None:
        with self._database.session(write=True) as session:
            if wanted and repository.count_starred(session, user) >= MOST_STARRED:
                raise Conflict(f"You have {MOST_STARRED} favourites; remove some of them first.")
            repository.star(session, user, thing, now_ms() if wanted else None)

    def starred_keys(self, user: str, kind: ObjectKind) -> set[str]:
        """The keys of a user's favourites of a kind."""
        with self._database.session() as session:
            return repository.starred_keys(session, user, kind)

    def _items(self, things: Iterable[Thing]) -> dict[Thing, Item]:
        """What is there of some things: one query for each kind among them."""
        keys: dict[ObjectKind, list[str]] = {}
        for thing in things:
            keys.setdefault(thing.kind, []).append(thing.key)
        found: dict[Thing, Item] = {}
        for kind, some in keys.items():
            try:
                found |= {_thing(item): item for item in self._sources[kind].of(some)}
            except SubmarineError as failure:
                log.info("search.kind_left_out", kind=kind, why=str(failure))
        return found


def _thing(item: Item) -> Thing:
    return Thing(item.kind, item.key)


def _found(item: Item, marked: set[Thing]) -> Found:
    return Found(
        kind=item.kind,
        key=item.key,
        name=item.name,
        detail=item.detail,
        status=item.status,
        path=path(item.kind, item.key),
        starred=_thing(item) in marked,
    )
