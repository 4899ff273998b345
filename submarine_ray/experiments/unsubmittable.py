"""Decides which failures of a submission are final, so that none is retried for ever."""

from __future__ import annotations

from http import HTTPStatus

from submarine_ray.core.clock import due_ms
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import SecretLost, SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.experiments import decide, outcomes
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.experiment import ExperimentStatus as Status

TRIES, PAUSE_MS = 5, 30_000
# Errors in what is stored, or in this code. A database or an MLflow that does not answer raises others, and comes back.
_LASTING = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class Unsubmittable:
    """Counts a submission's tries that failed by a mistake of ours. In memory: a service that starts anew tries some
    more times.
    """

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}

    def submitted(self, row: ExperimentRow) -> None:
        """Forget the tries of an experiment that was submitted."""
        self._tries.pop(row.id, None)

    def refused(self, row: ExperimentRow, failure: Exception) -> Outcome | None:
        """The end of an experiment that asks for something impossible; None if the same may succeed later."""
        if not isinstance(failure, SubmarineError):
            return None
        # A key that is gone is not brought back by waiting.
        if failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(failure, SecretLost):
            return None
        return outcomes.observed(row, decide.Observe(Status.FAILED, "NotSubmittable", str(failure)), None)

    def broken(self, row: ExperimentRow, failure: Exception) -> Outcome:
        """The outcome of a mistake of ours in one experiment: tried again some times, told once, and then final."""
        tries = self._tries[row.id] = self._tries.get(row.id, 0) + 1
        why = f"The service cannot submit it, by an error of its own ({type(failure).__name__}); its log has more."
        if tries >= TRIES and isinstance(failure, _LASTING):
            self.submitted(row)
            return outcomes.observed(row, decide.Observe(Status.FAILED, "ServiceError", why), None)
        told = [] if row.reason == "ServiceError" else [Event("ServiceError", why, recurs=True)]
        return Outcome({"reason": "ServiceError", "message": why, "next_check_ms": due_ms() + PAUSE_MS}, told)
