"""Which events users are told of."""

from __future__ import annotations

import pytest

from submarine_ray.core.events import Event
from submarine_ray.notices.decide import Telling, Whom, is_followed, telling
from submarine_ray.spec.notices import NoticeKind as Kind

E, N, S = "experiment-1-0001", "notebook-1-0001", "endpoint:m-1"


@pytest.mark.parametrize(
    ("subject", "reason", "before", "after", "told"),
    [
        (E, "Succeeded", "Running", "Succeeded", Telling(Kind.EXPERIMENT, "Succeeded")),
        (E, "ReplicaFailed", "Running", "Failed", Telling(Kind.EXPERIMENT, "Failed")),
        (E, "Stopped", "Running", "Failed", Telling(Kind.EXPERIMENT, "Stopped", is_news=False)),
        (E, "ReplicaFailed", "Running", "Accepted", None),  # it is tried again
        (E, "Running", "Created", "Running", None),
        (E, "Deleted", "Running", "Deleted", None),
        (E, "Edited", None, None, None),
        (N, "Failed", "running", "failed", Telling(Kind.NOTEBOOK, "Failed")),
        (N, "Stopped", "running", "stopped", Telling(Kind.NOTEBOOK, "Stopped")),
        (N, "Stopped", "terminating", "stopped", Telling(Kind.NOTEBOOK, "Stopped", is_news=False)),
        (S, "Failed", "Running", "Failed", Telling(Kind.ENDPOINT, "Failed")),
        (S, "Failed", "Failed", "Failed", None),
        (S, "Running", "Creating", "Running", Telling(Kind.ENDPOINT, "Running", Whom.WHO_KNOW_OF_FAILURE)),
        ("saved:experiment-view:1", "Shared", None, "team", Telling(Kind.SHARED, "Shared", Whom.OTHERS)),
        (S, "Scaling", "Running", "Scaling", None),
        ("saved:experiment-view:1", "Renamed", None, "team", None),
        ("cluster:local", "Shared", None, "team", None),
        ("cluster:local", "Failed", None, "Failed", None),
    ],
)
def test_what_is_told(subject: str, reason: str, before: str | None, after: str | None, told: Telling | None) -> None:
    assert telling(subject, Event(reason, "why", before, after)) == told


def test_who_makes_or_starts_something_follows_it() -> None:
    assert is_followed(E, Event("Accepted", "", None, "Accepted"))
    assert is_followed(E, Event("Patched", "", "Failed", "Accepted"))
    assert not is_followed(E, Event("Deleted", "", "Failed", "Deleted"))
    assert not is_followed(E, Event("StopAsked", ""))
    assert not is_followed(S, Event("Deleting", "", "Running", "Deleting"))
