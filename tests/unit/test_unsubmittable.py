"""Which failures of a submission end the experiment."""

from __future__ import annotations

import pytest

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.core.errors import InvalidSpec, NotFound, SecretLost, TrackingUnavailable, Unavailable
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.unsubmittable import TRIES, Unsubmittable


def row() -> ExperimentRow:
    return ExperimentRow(id="e-1", status="Accepted", created_ms=None, running_ms=None, reason=None)


@pytest.mark.parametrize("failure", [InvalidSpec("no"), NotFound("gone"), SecretLost("no key")])
def test_what_would_be_the_same_next_time_is_final(failure: Exception) -> None:
    end = Unsubmittable().refused(row(), failure)
    assert end is not None and end.values["status"] == "Failed" and end.values["message"] == str(failure)
    assert [event.reason for event in end.events] == ["NotSubmittable"]


@pytest.mark.parametrize("failure", [Unavailable("soon"), TrackingUnavailable("soon"), Unreachable("soon")])
def test_what_may_pass_is_not(failure: Exception) -> None:
    assert Unsubmittable().refused(row(), failure) is None


def test_errors_of_our_own_are_tried_again_some_times_unless_others_cause_them() -> None:
    tried, one = Unsubmittable(), row()
    for _ in range(TRIES - 1):
        outcome = tried.broken(one, KeyError("x"))
        assert "status" not in outcome.values and len(outcome.events) == (one.reason is None)
        one.reason = outcome.values["reason"]
    assert tried.broken(one, KeyError("x")).values["status"] == "Failed"
    for _ in range(3 * TRIES):  # a database, say, that is away for an hour
        assert "status" not in tried.broken(one, OSError("away")).values
    tried.submitted(one)
    assert "status" not in tried.broken(one, KeyError("x")).values
