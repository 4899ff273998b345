"""The engine's steps for experiments, on the cluster and in MLflow. Each may be repeated safely."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from submarine_ray.admission.service import Admission
from submarine_ray.clusters.drivers.base import Driver, Job, attempt_number
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import InvalidSpec, NotFound, SecretLost
from submarine_ray.core.events import Event
from submarine_ray.experiments import archive, decide, leftovers, logs, outcomes, repository
from submarine_ray.experiments.answers import stored_environment, stored_spec
from submarine_ray.experiments.spool import Spools
from submarine_ray.experiments.submit import Submitter
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.tracking.service import TrackingService

QUEUED_PAUSE_MS = 3_000
SETTLING_PAUSE_MS = 1_000
STOPPING_PAUSE_MS = 300
MOST_KNOWN = 10_000


@dataclass(frozen=True)
class ClusterView:
    """One look at a cluster: its driver, what it showed, and who of those that wait may start, with how many trials."""

    driver: Driver
    observed: decide.Observed
    admitted: Mapping[str, int]


class Performer:
    """Takes the steps. Its methods raise what clusters and MLflow raise."""

    def __init__(
        self,
        database: Database,
        admission: Admission,
        tracking: TrackingService,
        spools: Spools,
        submitter: Submitter,
    ) -> None:
        self._database = database
        self._admission = admission
        self._tracking = tracking
        self._spools = spools
        self._submitter = submitter
        self._fits: dict[str, object] = {}  # of those that wait: how large their cluster was when they were looked at

    def perform(self, row: ExperimentRow, step: decide.Step, view: ClusterView) -> Outcome:
        """Take a step, and return its outcome."""
        driver, observed = view.driver, view.observed
        match step:
            case decide.Submit() | decide.Queue() if unfit := self._unfit(row, step):
                return outcomes.observed(row, unfit, None)
            case decide.Submit():
                return self._submitter.submit(driver, row, observed.incarnation, view.admitted[row.id])
            case decide.Queue():
                return self._queue(row)
            case decide.Observe():
                return outcomes.observed(row, step, observed.jobs.get(row.submission_id), driver.watches)
            case decide.Retry():
                return outcomes.retried(row, step)
            case decide.GoOn():
                return outcomes.gone_on(row)
            case decide.Tell(problem):
                return outcomes.told(problem, outcomes.pause(row, driver.watches, observed))
            case decide.Settle():
                return Outcome({"next_check_ms": due_ms() + SETTLING_PAUSE_MS})
            case decide.StopJob(key):
                driver.stop(key)
                return Outcome({"next_check_ms": due_ms() + STOPPING_PAUSE_MS})
            case decide.Discard(key, known):
                return self._discard(driver, row, key, observed.jobs.get(key) if known else None, observed)
            case decide.Archive():
                told = self._store_log(driver, row, row.submission_id, logs.DIRECTORY, observed)
                return Outcome({"archived": True, "next_check_ms": due_ms()}, told)
            case decide.Close(known):
                return self._close(driver, row, known)
            case decide.Purge(known):
                return self._purge(driver, row, known)
        return Outcome({"next_check_ms": due_ms() + outcomes.pause(row, driver.watches, observed)})

    def _unfit(self, row: ExperimentRow, step: decide.Step) -> decide.Observe | None:
        """The final state of an experiment that can never start here: its secrets are lost, or its cluster can never
        hold it. It may have been accepted before the cluster was first observed.
        """
        try:
            there = self._admission.placements.seen(row.cluster)
            size = there.total, there.largest_node
            if isinstance(step, decide.Queue) and row.reason == "Queued" and self._fits.get(row.id) == size:
                return None  # its spec need not be read at each look
            spec = stored_spec(row)
            stored_environment(row)
            self._admission.placements.check_demand(there, spec)
        except SecretLost as failure:  # waiting would not bring the key back
            return decide.Observe(Status.FAILED, "SecretLost", str(failure))
        except InvalidSpec as failure:
            return decide.Observe(Status.FAILED, "Unschedulable", str(failure))
        self._fits.pop(row.id, None)
        if isinstance(step, decide.Queue):
            self._fits[row.id] = size
            if len(self._fits) > MOST_KNOWN:
                del self._fits[next(iter(self._fits))]
        return None

    def _queue(self, row: ExperimentRow) -> Outcome:
        values = {"next_check_ms": due_ms() + QUEUED_PAUSE_MS}
        message = self._admission.why_waiting(row.cluster, row.demand.unit, row.id)
        if row.reason == "Queued":
            return Outcome(values | ({"message": message} if row.message != message else {}))
        return Outcome(values | {"reason": "Queued", "message": message}, [Event("Queued", message, recurs=True)])

    def _discard(
        self, driver: Driver, row: ExperimentRow, key: str, job: Job | None, observed: decide.Observed
    ) -> Outcome:
        told: list[Event] = []
        with self._database.session() as session:
            earlier = repository.earlier_attempt(session, key)
        attempt = earlier or row  # attempts from before each was kept share the experiment's run
        path = earlier.log_path if earlier else f"{logs.DIRECTORY}/attempt-{attempt_number(row.id, key)}"
        if job is not None:
            told = self._store_log(driver, attempt, key, path, observed)
            driver.delete(key)
        elif attempt.run_id and path != logs.DIRECTORY:
            # It had ended and was cleaned up: the next attempt's log must not replace its own.
            with contextlib.suppress(NotFound):
                self._tracking.move_files(attempt.run_id, logs.DIRECTORY, path, logs.is_own)
        told += leftovers.store(self._tracking, driver, attempt, key)
        if attempt.run_id != row.run_id:
            self._finish(attempt)
        left = " ".join(other for other in row.superseded_ids if other != key)
        return Outcome({"superseded": left, "next_check_ms": due_ms()}, told)

    def _store_log(
        self, driver: Driver, row: ExperimentRow | AttemptRow, key: str, path: str, observed: decide.Observed
    ) -> list[Event]:
        """Store an attempt's log with its run; the events about what is missing in it."""
        if row.run_id is None:
            return []
        node_is_gone = observed.died_with_node(observed.jobs[key])
        try:
            return archive.store(self._spools, self._tracking, driver, row, key, path, node_is_gone)
        except NotFound as failure:
            return [Event("LogNotKept", f"The log of {key} is not kept, for its place in MLflow is gone: {failure}")]

    def _close(self, driver: Driver, row: ExperimentRow, known: bool) -> Outcome:
        if known:
            driver.delete(row.submission_id)
        told = leftovers.store(self._tracking, driver, row, row.submission_id)
        self._finish(row)
        return Outcome({"next_check_ms": None, "archived": True}, told)

    def _finish(self, attempt: ExperimentRow | AttemptRow) -> None:
        if attempt.run_id:
            with contextlib.suppress(NotFound):  # somebody has removed the run from MLflow
                stopped = attempt.reason == Status.STOPPED
                self._tracking.finish(attempt.run_id, attempt.status == Status.SUCCEEDED, stopped)

    def _purge(self, driver: Driver, row: ExperimentRow, known: bool) -> Outcome:
        if known:
            driver.delete(row.submission_id)
        driver.purge(row.id)
        with self._database.session() as session:
            runs = [attempt.run_id for attempt in repository.earlier_attempts(session, row.id)]
        for run in dict.fromkeys(filter(None, [*runs, row.run_id])):
            with contextlib.suppress(NotFound):
                self._tracking.delete(run)
        return Outcome(remove=True)
