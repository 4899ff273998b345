"""Hears each event in the transaction that records it: a notice is there if, and only if, its event is."""

from __future__ import annotations

from sqlalchemy.orm import Session

from submarine_ray.access.acting import acting, acting_user
from submarine_ray.core.events import Event
from submarine_ray.notices import decide, repository


class Notices:
    """What `core.events` tells of each event. It keeps nothing, so one serves all databases of a process."""

    def recorded(self, session: Session, subject: str, event: Event) -> None:
        user = acting_user() if acting() is not None else None
        if user is not None and decide.is_followed(subject, event):
            repository.follow(session, subject, user)
        if what := decide.telling(subject, event):
            repository.tell(session, subject, what, event.message, user)

    def forgotten(self, session: Session, subject: str) -> None:
        repository.forget(session, subject)


NOTICES = Notices()
