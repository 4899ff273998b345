"""Which events become notices, and for which users. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from submarine_ray.core.events import Event
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.notebooks import NotebookStatus
from submarine_ray.spec.notices import NoticeKind
from submarine_ray.spec.serving import EndpointStatus

_EXPERIMENT, _NOTEBOOK, _ENDPOINT, SAVED = "experiment-", "notebook-", "endpoint:", "saved:"
SHARED = "Shared"


class Recipients(Enum):
    """Who gets the notice."""

    FOLLOWERS = auto()
    KNOWING_OF_FAILURE = auto()
    """Followers whose last notice of the subject is its failure."""
    OTHERS = auto()
    """All users but the one who acts."""


@dataclass(frozen=True)
class NewNotice:
    """A notice to write. `is_news`: it counts as unread; a user's own stop does not."""

    kind: NoticeKind
    outcome: str
    recipients: Recipients = Recipients.FOLLOWERS
    is_news: bool = True


def notice_of(subject: str, event: Event) -> NewNotice | None:
    """The notice of an event; None for the many that nobody waits for."""
    if event.to_status is None or event.to_status == event.from_status:
        return None
    if subject.startswith(_EXPERIMENT):
        return _of_experiment(event)
    if subject.startswith(_NOTEBOOK):
        return _of_notebook(event)
    if subject.startswith(_ENDPOINT):
        return _of_endpoint(event)
    if subject.startswith(SAVED) and event.reason == SHARED:
        return NewNotice(NoticeKind.SHARED, SHARED, Recipients.OTHERS)
    return None


def is_followed(subject: str, event: Event) -> bool:
    """Whether the user who causes the event follows its subject from now on: they make it, or start it anew."""
    ends = (ExperimentStatus.DELETED, EndpointStatus.DELETING, NotebookStatus.TERMINATING)
    return event.to_status is not None and event.to_status not in ends and not subject.startswith(SAVED)


def _of_experiment(event: Event) -> NewNotice | None:
    if event.to_status not in (ExperimentStatus.SUCCEEDED, ExperimentStatus.FAILED):
        return None
    outcome = ExperimentStatus.seen(event.to_status, event.reason)
    return NewNotice(NoticeKind.EXPERIMENT, outcome, is_news=outcome != ExperimentStatus.STOPPED)


def _of_notebook(event: Event) -> NewNotice | None:
    if event.to_status not in (NotebookStatus.STOPPED, NotebookStatus.FAILED):
        return None
    return NewNotice(
        NoticeKind.NOTEBOOK, event.to_status.capitalize(), is_news=event.from_status != NotebookStatus.TERMINATING
    )


def _of_endpoint(event: Event) -> NewNotice | None:
    if event.to_status == EndpointStatus.FAILED:
        return NewNotice(NoticeKind.ENDPOINT, EndpointStatus.FAILED)
    if event.to_status == EndpointStatus.RUNNING:
        return NewNotice(NoticeKind.ENDPOINT, EndpointStatus.RUNNING, Recipients.KNOWING_OF_FAILURE)
    return None
