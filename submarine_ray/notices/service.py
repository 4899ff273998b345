"""The rules of notices: whose they are, what they are about, and how long they are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote

from submarine_ray.access.acting import acting_user
from submarine_ray.core import events
from submarine_ray.core.clock import moment, now_ms
from submarine_ray.core.database import Database
from submarine_ray.notices import repository
from submarine_ray.notices.decide import SAVED
from submarine_ray.notices.listener import NOTICES
from submarine_ray.notices.tables import NoticeRow
from submarine_ray.spec.answers.notices import Notice, NoticesRead
from submarine_ray.spec.notices import NoticeKind, NoticeSettings
from submarine_ray.spec.places import ObjectKind, path, version_key

LIMIT, MOST = 30, 200
Key = tuple[ObjectKind, str]
Names = Callable[[Collection[Key]], Mapping[Key, str]]
_TRAFFIC = "traffic:"


class NoticeService:
    """The user is who the request is from (`access/acting.py`). `names` answers what things are called now."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names
        events.listen_with(NOTICES)

    def list(self, limit: int = LIMIT, before: int | None = None) -> tuple[list[Notice], NoticesRead]:
        """The user's notices, the newest first, from the one before `before` on; and how many are unread."""
        user = acting_user()
        with self._database.session() as session:
            rows = repository.page(session, user, limit, before)
            unread = repository.unread(session, user)
        keys = {row.subject: key for row in rows if (key := _key(row.subject))}
        names = self._names(set(keys.values()))
        return [_notice(row, names.get(keys[row.subject]) if row.subject in keys else None) for row in rows], (
            NoticesRead(unread=unread)
        )

    def unread(self, user: str) -> int:
        """How many notices a user has not read. The user is named: pages share answers."""
        with self._database.session() as session:
            return repository.unread(session, user)

    def mark_read(self, id: int | None = None) -> None:
        """Mark one of the user's notices as read, or all; it is no error if it is so already."""
        with self._database.session(write=True) as session:
            repository.mark_read(session, acting_user(), id)

    def settings(self) -> NoticeSettings:
        with self._database.session() as session:
            muted = repository.muted(session, acting_user())
        return NoticeSettings(kinds=[kind for kind in NoticeKind if kind not in muted])

    def change_settings(self, wanted: NoticeSettings) -> NoticeSettings:
        """Choose which kinds of notices the user gets from now on."""
        with self._database.session(write=True) as session:
            repository.mute(session, acting_user(), set(NoticeKind) - set(wanted.kinds))
        return self.settings()

    def prune(self) -> None:
        """Drop notices that are a month old, and of each user all but the newest thousand."""
        with self._database.session() as session:
            ids = repository.too_old(session, now_ms())
        if ids:
            with self._database.session(write=True) as session:
                repository.remove(session, ids)


def _key(subject: str) -> Key | None:
    """What a subject is, as searches name it; None for what has no such name."""
    name = subject.removeprefix("endpoint:")
    if name != subject:
        model, _, version = name.rpartition("-")
        is_endpoint = version.isdigit() and not name.startswith(_TRAFFIC)
        return (ObjectKind.ENDPOINT, version_key(model, int(version))) if is_endpoint else None
    if subject.startswith(SAVED):
        kind, _, id = subject.removeprefix(SAVED).partition(":")
        return (ObjectKind(kind), id) if kind in set(ObjectKind) else None
    return (ObjectKind.NOTEBOOK if subject.startswith("notebook-") else ObjectKind.EXPERIMENT), subject


def _notice(row: NoticeRow, name: str | None) -> Notice:
    key = _key(row.subject)
    if key is not None:
        name, place = name or key[1], path(*key)
    elif row.subject.startswith(SAVED):  # of a kind that has no page
        name, place = "Shared with the team", "/"
    else:
        model = row.subject.removeprefix(f"endpoint:{_TRAFFIC}")
        name, place = f"{model}: shared URL", f"/endpoints/{quote(model, safe='')}"
    return Notice(
        id=row.id,
        kind=NoticeKind(row.kind),
        name=name,
        status=row.outcome,
        message=row.message,
        path=place,
        time=moment(row.time_ms),
        read=row.is_read,
    )
