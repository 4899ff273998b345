"""Which events users are told of."""

from __future__ import annotations

import pytest

from submarine_ray.core.events import Event
from submarine_ray.notices.decide import NewNotice, Recipients, is_followed, notice_of
from submarine_ray.spec.notices import NoticeKind as Kind

E, N, S = "experiment-1-0001", "notebook-1-0001", "endpoint:m-1"


@pytest.mark.parametrize(
    ("subject", "reason", "before", "after", "made"),
    [
        (E, "Succeeded", "Running", "Succeeded", NewNotice(Kind.EXPERIMENT, "Succeeded")),
        (E, "ReplicaFailed", "Running", "Failed", NewNotice(Kind.EXPERIMENT, "Failed")),
        (E, "Stopped", "Running", "Failed", NewNotice(Kind.EXPERIMENT, "Stopped", is_news=False)),
        (E, "ReplicaFailed", "Running", "Accepted", None),  # it is tried again
        (E, "Running", "Created", "Running", None),
        (E, "Deleted", "Running", "Deleted", None),
        (E, "Edited", None, None, None),
        (N, "Failed", "running", "failed", NewNotice(Kind.NOTEBOOK, "Failed")),
        (N, "Stopped", "running", "stopped", NewNotice(Kind.NOTEBOOK, "Stopped")),
        (N, "Stopped", "terminating", "stopped", NewNotice(Kind.NOTEBOOK, "Stopped", is_news=False)),
        (S, "Failed", "Running", "Failed", NewNotice(Kind.ENDPOINT, "Failed")),
        (S, "Failed", "Failed", "Failed", None),
        (S, "Running", "Creating", "Running", NewNotice(Kind.ENDPOINT, "Running", Recipients.KNOWING_OF_FAILURE)),
        ("saved:experiment-view:1", "Shared", None, "team", NewNotice(Kind.SHARED, "Shared", Recipients.OTHERS)),
        (S, "Scaling", "Running", "Scaling", None),
        ("saved:experiment-view:1", "Renamed", None, "team", None),
        ("cluster:local", "Shared", None, "team", None),
        ("cluster:local", "Failed", None, "Failed", None),
    ],
)
def test_which_events_become_notices(
    subject: str, reason: str, before: str | None, after: str | None, made: NewNotice | None
) -> None:
    assert notice_of(subject, Event(reason, "why", before, after)) == made


def test_who_makes_or_starts_something_follows_it() -> None:
    assert is_followed(E, Event("Accepted", "", None, "Accepted"))
    assert is_followed(E, Event("Patched", "", "Failed", "Accepted"))
    assert not is_followed(E, Event("Deleted", "", "Failed", "Deleted"))
    assert not is_followed(E, Event("StopAsked", ""))
    assert not is_followed(S, Event("Deleting", "", "Running", "Deleting"))
