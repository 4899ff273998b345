"""All SQL about notices."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from submarine_ray.core.clock import now_ms
from submarine_ray.notices.decide import NewNotice, Recipients
from submarine_ray.notices.tables import FollowRow, MutedRow, NoticeRow
from submarine_ray.spec.notices import NoticeKind
from submarine_ray.spec.serving import EndpointStatus

AGE_MS = 30 * 86_400_000
MOST = 1_000  # of a user
AT_ONCE = 5_000


def follow(session: Session, subject: str, user: str) -> None:
    """Let a user follow a subject; it is no error if they do already."""
    adding = insert(FollowRow).prefix_with("OR IGNORE", dialect="sqlite")
    for server in ("mysql", "mariadb"):
        adding = adding.prefix_with("IGNORE", dialect=server)
    session.execute(adding.values(subject=subject, user=user))


def tell(session: Session, subject: str, what: NewNotice, message: str, acting: str | None) -> None:
    """Write a notice for each user whom it concerns and who wants this kind."""
    muted = set(session.scalars(select(MutedRow.user).where(MutedRow.kind == what.kind)))
    for user in _concerned(session, subject, what, acting):
        if user not in muted:
            session.add(
                NoticeRow(
                    user=user,
                    kind=what.kind,
                    subject=subject,
                    outcome=what.outcome,
                    message=message,
                    time_ms=now_ms(),
                    is_read=not what.is_news,
                )
            )


def _concerned(session: Session, subject: str, what: NewNotice, acting: str | None) -> list[str]:
    if what.recipients is Recipients.OTHERS:
        return [user for user in session.scalars(select(FollowRow.user).distinct()) if user != acting]
    users = list(session.scalars(select(FollowRow.user).where(FollowRow.subject == subject)))
    if what.recipients is Recipients.KNOWING_OF_FAILURE and users:
        last = select(func.max(NoticeRow.id)).where(NoticeRow.subject == subject).group_by(NoticeRow.user)
        told = select(NoticeRow.user).where(NoticeRow.id.in_(last), NoticeRow.outcome == EndpointStatus.FAILED)
        known = set(session.scalars(told))
        users = [user for user in users if user in known]
    return users


def page(session: Session, user: str, limit: int, before: int | None) -> list[NoticeRow]:
    """A user's notices, the newest first, from the one before `before` on."""
    query = select(NoticeRow).where(NoticeRow.user == user)
    if before is not None:
        query = query.where(NoticeRow.id < before)
    return list(session.scalars(query.order_by(NoticeRow.id.desc()).limit(limit)))


def unread(session: Session, user: str) -> int:
    return session.scalar(select(func.count()).select_from(NoticeRow).where(*_unread(user))) or 0


def mark_read(session: Session, user: str, id: int | None = None) -> None:
    """Mark a user's notice as read, or all of them."""
    query = update(NoticeRow).where(*_unread(user))
    if id is not None:
        query = query.where(NoticeRow.id == id)
    session.execute(query.values(is_read=True).execution_options(synchronize_session=False))


def muted(session: Session, user: str) -> set[NoticeKind]:
    return {NoticeKind(kind) for kind in session.scalars(select(MutedRow.kind).where(MutedRow.user == user))}


def mute(session: Session, user: str, kinds: Collection[NoticeKind]) -> None:
    """Replace the kinds that a user does not want."""
    session.execute(delete(MutedRow).where(MutedRow.user == user))
    session.add_all(MutedRow(user=user, kind=kind) for kind in sorted(kinds))


def forget(session: Session, subject: str) -> None:
    """Drop the notices of a subject, with the subject."""
    session.execute(delete(NoticeRow).where(NoticeRow.subject == subject))
    session.execute(delete(FollowRow).where(FollowRow.subject == subject))


def too_old(session: Session, now: int) -> Sequence[int]:
    """Notices that are kept no longer: those of a month ago, and of each user all but the newest."""
    ids = list(session.scalars(select(NoticeRow.id).where(NoticeRow.time_ms < now - AGE_MS).limit(AT_ONCE)))
    for user in session.scalars(select(NoticeRow.user).group_by(NoticeRow.user).having(func.count() > MOST)).all():
        mine = select(NoticeRow.id).where(NoticeRow.user == user).order_by(NoticeRow.id.desc())
        ids += session.scalars(mine.offset(MOST).limit(AT_ONCE))
    return ids


def remove(session: Session, ids: Sequence[int]) -> None:
    for first in range(0, len(ids), 500):
        session.execute(delete(NoticeRow).where(NoticeRow.id.in_(ids[first : first + 500])))


def _unread(user: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return NoticeRow.user == user, NoticeRow.is_read.is_(False)
