"""Writes notices in the transaction that records their event: a notice exists if, and only if, its event does."""

from __future__ import annotations

from sqlalchemy.orm import Session

from submarine_ray.access.acting import acting, acting_user
from submarine_ray.core.events import Event
from submarine_ray.notices import decide, repository


class Notices:
    """The listener of `core.events`. It has no state, so one serves all databases of a process."""

    def recorded(self, session: Session, subject: str, event: Event) -> None:
        user = acting_user() if acting() is not None else None
        if user is not None and decide.is_followed(subject, event):
            repository.follow(session, subject, user)
        if what := decide.notice_of(subject, event):
            repository.tell(session, subject, what, event.message, user)

    def forgotten(self, session: Session, subject: str) -> None:
        repository.forget(session, subject)


NOTICES = Notices()
