"""Each attempt begins once: whoever starts its entrypoint again, the runner asks here first.

KubeRay submits a job again when the head has forgotten it, under the same id. Nobody but the ledger could tell the two.
Where the runner asks with a ticket, it is answered what to run as well.
"""

from __future__ import annotations

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.clusters.drivers.base import submission_id
from submarine_ray.clusters.launches import Launches
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists
from submarine_ray.experiments import repository
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.ledger import Beginning


class Ledger:
    """Records which run has begun which attempt."""

    def __init__(self, database: Database, launches: Launches) -> None:
        self._database = database
        self._launches = launches

    def begin(self, experiment_id: str, submission: str, run: str, asks: Principal) -> Beginning:
        """Let the run begin the attempt, and no other after it; asking again is no error. See `Beginning`."""
        if asks.kind is PrincipalKind.TICKET:
            return self._launches.handed_out(self._unwanted(experiment_id, submission), submission, run)
        why = self.refusal(experiment_id, submission, run)
        return Beginning(may_begin=why is None, why=why, launch=None)

    def refusal(self, experiment_id: str, submission: str, run: str) -> str | None:
        """Why the run may not begin the attempt; None if it may."""
        if why := self._unwanted(experiment_id, submission):
            return why
        try:
            with self._database.session(write=True) as session:
                first = repository.begin(session, experiment_id, submission, run)
        except AlreadyExists:  # another has begun it at this moment
            with self._database.session(write=True) as session:
                first = repository.begin(session, experiment_id, submission, run)
        return None if first == run else "it has begun before: its cluster had forgotten it, and started it again"

    def _unwanted(self, experiment_id: str, submission: str) -> str | None:
        with self._database.session() as session:
            row = repository.find(session, experiment_id)
        if row is None or row.wanted == "delete":
            return "its experiment was deleted"
        if row.wanted == "stop" or row.status in ExperimentStatus.ENDED:
            return "its experiment has ended, or was stopped"
        if submission != submission_id(row.id, row.attempt):
            return "another attempt of its experiment has followed it"
        return None
