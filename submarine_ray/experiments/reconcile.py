"""Brings clusters and rows together: the only writer of observed state. It may die at any line and lose nothing."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog
from prometheus_client import Counter

from submarine_ray.clusters.drivers.base import (
    AlreadySubmitted,
    Blocked,
    Driver,
    Job,
    Submission,
    SubmissionRefused,
    Unreachable,
    attempt_number,
)
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.changes import Changes
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.engine.change_queue import ChangeQueue
from submarine_ray.core.errors import DatabaseUnavailable, InvalidSpec, SecretLost, SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee
from submarine_ray.experiments import archive, decide, leftovers, logs, outcomes, repository
from submarine_ray.experiments.answers import stored_environment, stored_spec
from submarine_ray.experiments.marks import Marks
from submarine_ray.experiments.outcomes import Outcome, Values
from submarine_ray.experiments.spool import Spools
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.unsubmittable import Unsubmittable
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.spec.kubernetes import JobOptions
from submarine_ray.spec.plan import plan_launch, plan_replicas
from submarine_ray.spec.quantities import Resources
from submarine_ray.tracking.runs import OpenedRun
from submarine_ray.tracking.service import TrackingService

log = structlog.get_logger(__name__)

WORKERS = 8
# Of one cluster's rows, how many ask it at once.
STEPS = 4
BATCH = 40
QUEUE_LOOK = 32
# How many that wait are looked at again when one has ended.
WOKEN = 8
OUTAGE_PAUSE_MS = 2_000
BROKEN_PAUSE_MS = 30_000
QUEUED_PAUSE_MS = 3_000
SETTLING_PAUSE_MS = 1_000
TIDY_SECONDS = 3600.0
UNUSED_PACKAGE_SECONDS = 24 * 3600.0
SUPERVISOR_MS = 700

# A row, what to write of it, and what to tell.
Taken = tuple[ExperimentRow, Values, list[Event]]

TRANSITIONS = Counter("submarine_experiment_transitions", "Changes of experiments' states", ["to", "reason"])


class ExperimentReconciler:
    """A tick leases the rows that are due and hands each cluster's to a worker; slow clusters delay only theirs."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        tracking: TrackingService,
        lessee: Lessee,
        changes: Changes,
        wake: Callable[[], None],
        spools: Spools,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._tracking = tracking
        self._lessee = lessee
        self._changes = changes
        self._wake = wake
        self._spools = spools
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="reconcile")
        self._busy = threading.Semaphore(WORKERS)
        self._outages: dict[str, float] = {}
        self._marks = Marks()
        self._unsubmittable = Unsubmittable()
        self._stranded: set[str] = set()
        self._next_tick_ms = math.inf
        self._tidy_after = 0.0
        self._news = ChangeQueue(wake)
        clusters.add_listener(self._news.add)

    def recover(self) -> None:
        """Free the leases that this service held when it last died, and look at everything."""
        with self._database.session(write=True) as session:
            repository.recover(session, self._lessee)

    def tick(self) -> float:
        """Lease and dispatch what is due; the seconds until more will be."""
        self._next_tick_ms = math.inf
        self._tracking.wait_ready()
        if time.monotonic() > self._tidy_after:
            self._tidy()
        stranded, changed = set(self._stranded), self._news.take()
        with self._database.session(write=True) as session:
            if stranded:
                repository.release(session, stranded)
            if changed:
                repository.wake(session, changed)
            rows = repository.claim(session, self._lessee, BATCH)
        self._stranded -= stranded
        self._news.hold(row.id for row in rows)
        by_cluster: dict[str, list[ExperimentRow]] = {}
        for row in rows:
            by_cluster.setdefault(row.cluster, []).append(row)
        for cluster, group in by_cluster.items():
            self._busy.acquire()
            self._pool.submit(self._work, cluster, group)
        with self._database.session() as session:
            due = repository.next_due(session)
        if due is None:
            return 60.0
        self._next_tick_ms = due
        return max(0.02, (due - due_ms()) / 1000)

    def _tidy(self) -> None:
        """Drop uploaded packages that no experiment refers to any more."""
        with self._database.session() as session:
            referred = repository.packages(session)
        self._clusters.packages.prune(referred, UNUSED_PACKAGE_SECONDS)
        self._tidy_after = time.monotonic() + TIDY_SECONDS

    def close(self) -> None:
        """Let the work under way end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, cluster: str, rows: list[ExperimentRow]) -> None:
        due: float = 0
        try:
            due = self._reconcile(cluster, rows)
        except DatabaseUnavailable as failure:
            self._strand(rows[0], failure)
        except Exception:
            log.exception("reconcile.failed", cluster=cluster)
        finally:
            self._busy.release()
            if self._news.let_go(row.id for row in rows) or due < self._next_tick_ms:
                self._wake()

    def _strand(self, row: ExperimentRow, failure: DatabaseUnavailable) -> None:
        """The database went away while this service held leases: the next tick that reaches it gives them back."""
        log.warning("reconcile.database_unavailable", experiment=row.id, error=str(failure.__cause__))
        if row.lock_token:
            self._stranded.add(row.lock_token)

    def _reconcile(self, cluster: str, rows: list[ExperimentRow]) -> float:
        """Bring rows of one cluster a step further; when the first of them is due again, in ms since 1970."""
        try:
            if time.monotonic() < self._outages.get(cluster, 0):
                raise Unreachable("the cluster did not answer a moment ago")
            driver = self._clusters.driver(cluster)
            capacity = self._clusters.capacity(cluster)
            asked = [key for row in rows for key in outcomes.submitted(row)]
            jobs = driver.observe(asked)
            if any(job.node_id and job.node_id not in capacity.nodes for job in jobs.values() if not job.state.ended):
                # A node that is new or gone: only a look of now tells which.
                capacity = self._clusters.capacity(cluster, fresh=True)
            admitted = self._admitted(cluster, rows) if any(row.status == Status.ACCEPTED for row in rows) else set()
        except (Unreachable, SubmarineError) as failure:
            return self._outage(cluster, rows, str(failure))
        self._outages.pop(cluster, None)
        crowded = any(job.out_of_memory for job in jobs.values()) and self._clusters.has_neighbours(cluster)
        seen = decide.Seen(jobs, capacity.incarnation, capacity.nodes, now_ms(), has_neighbours=crowded)
        looks = {row.id: replace(seen, has_room=row.id in admitted) for row in rows}
        steps = [(row, decide.decide(self._marks.onto(_wish(row), row), looks[row.id])) for row in rows]
        self._marks.note(rows, jobs)
        # What needs no one else is written together; the rest asks the cluster and MLflow, each on its own.
        due = self._apply([self._taken(driver, row, step, looks[row.id]) for row, step in steps if _is_note(step)])
        others = [(row, step) for row, step in steps if not _is_note(step)]

        def carry_out(one: tuple[ExperimentRow, decide.Step]) -> float:
            return self._carry_out(driver, *one, looks[one[0].id])

        if len(others) < 2:  # most often, and then no other thread is needed
            return min([due, *map(carry_out, others)])
        with ThreadPoolExecutor(STEPS, thread_name_prefix="step") as pool:
            return min([due, *pool.map(carry_out, others)])

    def _outage(self, cluster: str, rows: list[ExperimentRow], why: str) -> float:
        """A cluster that does not answer changes no row: only when to look again."""
        if cluster not in self._outages:
            log.warning("reconcile.cluster_unreachable", cluster=cluster, why=why, waiting=len(rows))
        self._outages[cluster] = time.monotonic() + 1.0
        return self._apply((row, {"next_check_ms": due_ms() + OUTAGE_PAUSE_MS}, []) for row in rows)

    def _admitted(self, cluster: str, rows: list[ExperimentRow]) -> set[str]:
        """The experiments that may start now: in order, as many as fit beside those that run."""
        capacity = self._clusters.capacity(cluster)
        total = capacity.total
        if total is None:
            return {row.id for row in rows}
        used = self._clusters.in_use(cluster)
        with self._database.session() as session:
            starting = repository.count_starting(session, cluster)
            waiting = repository.queue(session, cluster, QUEUE_LOOK)
        admitted: set[str] = set()
        for experiment_id, demand in waiting:
            if not demand.fits(total):
                continue  # the cluster must grow first; it does not hold up those behind it
            if starting >= capacity.starting or not (used + demand).fits(total):
                break
            used, starting = used + demand, starting + 1
            admitted.add(experiment_id)
        return admitted

    def _carry_out(self, driver: Driver, row: ExperimentRow, step: decide.Step, seen: decide.Seen) -> float:
        """Do one row's step, and write what came of it; when the row is due again."""
        try:
            return self._apply([self._taken(driver, row, step, seen)])
        except DatabaseUnavailable as failure:
            self._strand(row, failure)
            return 0

    def _taken(self, driver: Driver, row: ExperimentRow, step: decide.Step, seen: decide.Seen) -> Taken:
        try:
            return row, *self._take(step, driver, row, seen)
        except Blocked as failure:
            return row, *outcomes.blocked(row, failure)
        except (Unreachable, SubmarineError) as failure:
            end = self._unsubmittable.refused(row, failure) if isinstance(step, decide.Submit) else None
            if end:
                return row, *end
            log.warning("reconcile.step_failed", experiment=row.id, step=type(step).__name__, why=str(failure))
            return row, {"next_check_ms": due_ms() + OUTAGE_PAUSE_MS}, []
        except Exception as failure:  # of ours, and of one row: the others must not wait for its mending
            log.exception("reconcile.step_broken", experiment=row.id, step=type(step).__name__)
            if isinstance(step, decide.Submit):
                return row, *self._unsubmittable.broken(row, failure)
            return row, {"next_check_ms": due_ms() + BROKEN_PAUSE_MS}, []

    def _apply(self, taken: Iterable[Taken]) -> float:
        """Write rows of a cluster together, then tell of them; when the first is due again, in ms since 1970."""
        # In one order everywhere: on MySQL two transactions would otherwise wait for one another.
        ordered = sorted(taken, key=lambda one: one[0].id)
        if not ordered:
            return math.inf
        due, written = math.inf, []
        with self._database.session(write=True) as session:
            for row, values, happened in ordered:
                if values.get("purge"):
                    repository.purge(session, row)
                elif repository.apply(session, row, values, happened):
                    due = min(due, values["next_check_ms"] or math.inf)
                    written.append((row, values, happened))
                else:
                    due = 0  # the user's wish has changed
        for row, _, happened in written:
            self._tell(row, happened)
        has_room = any(values.get("finished_ms") for _, values, _ in written)
        return 0 if has_room and self._wake_queue(ordered[0][0].cluster) else due

    def _wake_queue(self, cluster: str) -> bool:
        """Something has ended on the cluster: whether there are others that wait for its room."""
        with self._database.session() as session:
            waiting = [key for key, _ in repository.queue(session, cluster, WOKEN)]
        if waiting:
            with self._database.session(write=True) as session:
                repository.wake(session, waiting)
        return bool(waiting)

    def _tell(self, row: ExperimentRow, happened: Sequence[Event]) -> None:
        if happened:
            self._changes.tell(row.id)
        for event in happened:
            if event.to_status:
                TRANSITIONS.labels(event.to_status, event.reason).inc()
                log.info("experiment.status", experiment=row.id, to=event.to_status, reason=event.reason)

    def _take(self, step: decide.Step, driver: Driver, row: ExperimentRow, seen: decide.Seen) -> Outcome:
        """Do what was decided; the values to write and what to tell."""
        match step:
            case decide.Submit() | decide.Queue() if lost := _lost(row):
                return outcomes.observed(row, lost, None)
            case decide.Submit():
                return self._submit(driver, row, seen.incarnation)
            case decide.Observe():
                return outcomes.observed(row, step, seen.jobs.get(row.submission_id), driver.watches)
            case decide.Retry():
                return outcomes.retried(row, step)
            case decide.StopJob(key):
                driver.stop(key)
                return {"next_check_ms": due_ms() + 300}, []
            case decide.Tell(problem):
                return outcomes.told(problem, outcomes.pause(row, driver.watches, seen))
            case decide.Discard(key, known):
                return self._discard(driver, row, key, seen.jobs.get(key) if known else None, seen)
            case decide.Archive():
                return self._archive(driver, row, seen)
            case decide.Close(known):
                return self._close(driver, row, known)
            case decide.Purge(known):
                return self._purge(driver, row, known)
            case decide.Settle():
                return {"next_check_ms": due_ms() + SETTLING_PAUSE_MS}, []
            case decide.Queue():
                return self._queue(row)
        return {"next_check_ms": due_ms() + outcomes.pause(row, driver.watches, seen)}, []

    def _submit(self, driver: Driver, row: ExperimentRow, incarnation: str | None) -> Outcome:
        spec = stored_spec(row)
        if impossible := self._impossible(row, spec):
            return outcomes.observed(row, impossible, None)
        if not (run := self._opened_run(row, spec)):
            return {"next_check_ms": due_ms()}, []
        tracking = self._tracking.reference(row.submission_id, run.run_id, run.mlflow_experiment_id)
        at_once = self._clusters.trials_at_once(row.cluster, spec)
        launch = plan_launch(
            spec,
            row.id,
            row.submission_id,
            tracking=tracking,
            service_url=self._tracking.service_url,
            at_once=at_once,
        )
        environment = stored_environment(row)
        kernel = environment.kernel_spec if environment else None
        submission = Submission(
            launch,
            pip=tuple(kernel.pip_dependencies or ()) if kernel else (),
            conda=tuple(kernel.conda_dependencies or ()) if kernel else (),
            image=environment.container_image if environment else None,
            images={role.lower(): task.image for role, task in spec.spec.items() if task.image},
            pods=spec.kubernetes or JobOptions(),
            owner=spec.meta.owner,
            team=spec.meta.team,
            timeout_seconds=spec.timeout,
        )
        try:
            driver.submit(submission)
        except AlreadySubmitted:
            log.info("experiment.already_submitted", experiment=row.id, submission=row.submission_id)
        except SubmissionRefused as failure:
            refused = decide.Observe(Status.FAILED, failure.reason, failure.sentence())
            return outcomes.observed(row, refused, None)
        self._unsubmittable.submitted(row)
        submitted = Event(
            "Submitted", f"Submitted to cluster {row.cluster!r} as {row.submission_id}.", row.status, Status.CREATED
        )
        hurried = outcomes.hurried(row, spec, self._clusters.capacity(row.cluster).grace)
        # Ray needs most of a second for its supervisor: looking earlier would only cost the cluster.
        values = {
            "status": Status.CREATED,
            "created_ms": now_ms(),
            "incarnation": incarnation,
            "next_check_ms": due_ms() + SUPERVISOR_MS,
        }
        return values | {"reason": None, "message": None}, [submitted, *outcomes.limited(row, spec, at_once), *hurried]

    def _opened_run(self, row: ExperimentRow, spec: ExperimentSpec) -> OpenedRun | None:
        """The MLflow run of the experiment, noted in its row; None if another service has the row by now."""
        leader = plan_replicas(spec)[0].name
        tags = {"submarine.framework": spec.meta.framework, "submarine.cluster": row.cluster}
        known = row.run_id
        run = self._tracking.open_run(known or row.new_run_id, spec.meta.name, row.id, leader, tags)
        if run.told or not known:
            with self._database.session(write=True) as session:
                happened = [Event("TrackingRestored", run.told)] if run.told else []
                if not repository.note_run(session, row, run.run_id, run.mlflow_experiment_id, happened):
                    return None
        row.run_id, row.mlflow_experiment_id = run.run_id, run.mlflow_experiment_id
        return run

    def _queue(self, row: ExperimentRow) -> Outcome:
        values: Values = {"next_check_ms": due_ms() + QUEUED_PAUSE_MS}
        message = self._clusters.why_waiting(row.cluster, Resources(row.demand_cpu, row.demand_memory, row.demand_gpu))
        if row.reason == "Queued":
            return values | ({"message": message} if row.message != message else {}), []
        if impossible := self._impossible(row, stored_spec(row)):
            return outcomes.observed(row, impossible, None)
        return values | {"reason": "Queued", "message": message}, [Event("Queued", message, recurs=True)]

    def _impossible(self, row: ExperimentRow, spec: ExperimentSpec) -> decide.Observe | None:
        """The end of what this cluster can never run: it may have been accepted before the cluster was first seen."""
        try:
            self._clusters.check_demand(row.cluster, spec)
        except InvalidSpec as failure:
            return decide.Observe(Status.FAILED, "Unschedulable", str(failure))
        return None

    def _discard(self, driver: Driver, row: ExperimentRow, key: str, job: Job | None, seen: decide.Seen) -> Outcome:
        told: list[Event] = []
        path = f"logs/attempt-{attempt_number(row.id, key)}"
        if job is not None:
            if row.run_id:
                told = self._store_log(driver, row, key, path, seen)
            driver.delete(key)
        elif row.run_id:  # it had ended and was put away: the next attempt's log must not replace its own
            self._tracking.move_files(row.run_id, "logs", path, logs.is_own)
        told += leftovers.store(self._tracking, driver, row, key)
        left = " ".join(other for other in row.superseded_ids if other != key)
        return {"superseded": left, "next_check_ms": due_ms()}, told

    def _archive(self, driver: Driver, row: ExperimentRow, seen: decide.Seen) -> Outcome:
        told = self._store_log(driver, row, row.submission_id, "logs", seen) if row.run_id else []
        return {"archived": True, "next_check_ms": due_ms()}, told

    def _store_log(self, driver: Driver, row: ExperimentRow, key: str, path: str, seen: decide.Seen) -> list[Event]:
        """Store an attempt's log with the run; what it tells that users should not have to look for."""
        node_is_gone = seen.died_with_node(seen.jobs[key])
        return archive.store(self._spools, self._tracking, driver, row, key, path, node_is_gone)

    def _close(self, driver: Driver, row: ExperimentRow, known: bool) -> Outcome:
        if known:
            driver.delete(row.submission_id)
        told = leftovers.store(self._tracking, driver, row, row.submission_id)
        if row.run_id:
            self._tracking.finish(row.run_id, row.status == Status.SUCCEEDED, row.reason == Status.STOPPED)
        return {"next_check_ms": None, "archived": True}, told

    def _purge(self, driver: Driver, row: ExperimentRow, known: bool) -> Outcome:
        if known:
            driver.delete(row.submission_id)
        driver.purge(row.id)
        if row.run_id:
            self._tracking.delete(row.run_id)
        return {"purge": True}, []


def _wish(row: ExperimentRow) -> decide.Wish:
    return decide.Wish(
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
        told=None if row.reason in decide.CALM else row.message,
    )


def _lost(row: ExperimentRow) -> decide.Observe | None:
    """The end of what cannot be read any more: waiting would not bring the key back."""
    try:
        stored_spec(row)
        stored_environment(row)
    except SecretLost as failure:
        return decide.Observe(Status.FAILED, "SecretLost", str(failure))
    return None


def _is_note(step: decide.Step) -> bool:
    """Whether the step asks nobody: it only changes the row."""
    return isinstance(step, decide.Wait | decide.Settle | decide.Queue | decide.Observe | decide.Retry | decide.Tell)
