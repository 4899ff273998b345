"""Experiments as the engine sees them (docs/engine.md): one look at a cluster, a decision, and what a failure means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from prometheus_client import Counter

from submarine_ray.admission.service import Admission
from submarine_ray.clusters.drivers.base import Blocked, ClusterError
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.changes import Changes
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import SubmarineError
from submarine_ray.experiments import outcomes, repository
from submarine_ray.experiments.decide import CALM, NOTES, Desired, Observed, Queue, Step, Submit, decide
from submarine_ray.experiments.marks import Marks
from submarine_ray.experiments.perform import ClusterView, Performer
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.unsubmittable import Unsubmittable
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.tracking.service import TrackingService

log = structlog.get_logger(__name__)

TRANSITIONS = Counter("submarine_experiment_transitions", "Changes of experiments' states", ["to", "reason"])


class ExperimentFeature:
    """What the engine asks of experiments; `wake` makes it look for rows that are due now."""

    name = "experiments"
    table = ExperimentRow
    expected: tuple[type[Exception], ...] = (ClusterError, SubmarineError)
    write = staticmethod(repository.write)

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        admission: Admission,
        tracking: TrackingService,
        performer: Performer,
        changes: Changes,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._admission = admission
        self._tracking = tracking
        self._performer = performer
        self._changes = changes
        self._wake = wake
        self._marks = Marks()
        self._unsubmittable = Unsubmittable()

    def ready(self) -> None:
        """Raises TrackingUnavailable while MLflow is not there: nothing can be submitted without a run."""
        self._tracking.wait_ready()

    def observe(self, cluster: str, rows: Sequence[ExperimentRow]) -> ClusterView:
        """Look at a cluster for all its rows. Raises ClusterError, SubmarineError."""
        driver, capacity = self._clusters.driver_and_capacity(cluster)
        jobs = driver.observe([key for row in rows for key in outcomes.submitted(row)])
        if any(job.node_id and job.node_id not in capacity.nodes for job in jobs.values() if not job.state.ended):
            # A node that is new or gone: only a look of now tells which.
            capacity = self._clusters.capacity(cluster, fresh=True)
        wanting = [row.demand for row in rows if row.status == Status.ACCEPTED and row.wanted == "run"]
        crowded = any(job.out_of_memory for job in jobs.values()) and self._clusters.has_neighbours(cluster)
        observed = Observed(jobs, capacity.incarnation, capacity.nodes, now_ms(), has_neighbours=crowded)
        return ClusterView(driver, observed, self._admission.admit(cluster, wanting, capacity) if wanting else {})

    def decide(self, row: ExperimentRow, view: ClusterView) -> Step:
        observed = replace(view.observed, units=view.admitted.get(row.id, 0))
        return decide(self._marks.onto(_desired(row), row), observed)

    def is_note(self, step: Step) -> bool:
        return isinstance(step, NOTES)

    def perform(self, row: ExperimentRow, step: Step, view: ClusterView) -> Outcome:
        """Take a step. Raises what clusters and MLflow raise."""
        self._marks.note([row], view.observed.jobs)
        outcome = self._performer.perform(row, step, view)
        if isinstance(step, Submit):
            self._unsubmittable.submitted(row)
        return outcome

    def failed(self, row: ExperimentRow, step: Step | None, failure: Exception) -> Outcome | None:
        """An attempt that cannot begin ends with the reason, or waits with it; all else is tried again."""
        if isinstance(failure, Blocked):
            return outcomes.blocked(row, failure)
        if not isinstance(step, Submit | Queue):
            return None
        if isinstance(failure, self.expected):
            return self._unsubmittable.refused(row, failure)
        return self._unsubmittable.broken(row, failure)

    def written(self, row: ExperimentRow, outcome: Outcome) -> None:
        if outcome.events:
            self._changes.tell(row.id)
        for event in outcome.events:
            if event.to_status:
                TRANSITIONS.labels(event.to_status, event.reason).inc()
                log.info("experiment.status", experiment=row.id, to=event.to_status, reason=event.reason)
        if outcome.values.get("finished_ms"):
            self._wake_queue(row.cluster)

    def _wake_queue(self, cluster: str) -> None:
        """Wake experiments that wait for room on the cluster, because one has ended there."""
        try:
            waiting = self._admission.next_in_line(cluster)
        except self.expected:
            return
        if waiting:
            with self._database.session(write=True) as session:
                repository.wake(session, waiting)
            self._wake()


def _desired(row: ExperimentRow) -> Desired:
    return Desired(
        status=row.status,
        submission_id=row.submission_id,
        wanted=row.wanted,
        failures=row.failures,
        max_retries=row.max_retries,
        superseded=row.superseded_ids,
        archived=row.archived,
        incarnation=row.incarnation,
        deadline_ms=outcomes.deadline_ms(row),
        running_ms=row.running_ms,
        told=None if row.reason in CALM else row.message,
        is_extended=row.unheard_samples is not None,
    )
