"""The engine's steps for notebooks: the only writer of their observed state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from submarine_ray.admission.service import Admission
from submarine_ray.clusters.drivers.base import (
    AlreadySubmitted,
    Blocked,
    ClusterError,
    Driver,
    Submission,
    SubmissionRefused,
)
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import Conflict, SecretLost, SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.notebooks import decide, repository
from submarine_ray.notebooks.decide import Step
from submarine_ray.notebooks.launching import Launching, listen
from submarine_ray.notebooks.service import NotebookService, stored_environment
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.notebooks import NotebookStatus as Status

log = structlog.get_logger(__name__)

SUPERVISOR_MS = 1_000
CREATING_PAUSE_MS = 200
SETTLING_PAUSE_MS = 1_000
QUEUED_PAUSE_MS = 2_000
RUNNING_PAUSE_MS = 3_000
# Elsewhere than on this machine nobody has installed it for us.
JUPYTERLAB = "jupyterlab>=4.4,<5"


@dataclass(frozen=True)
class View:
    """One look at a cluster: what `decide` sees of it, and who is asked for more."""

    driver: Driver
    observed: decide.Observed


class Notebooks:
    """Notebooks as a feature of the engine (core/engine/feature.py)."""

    name = "notebooks"
    table = NotebookRow
    expected: tuple[type[Exception], ...] = (ClusterError, SubmarineError)
    write = staticmethod(repository.write)

    def __init__(
        self, clusters: ClusterService, admission: Admission, notebooks: NotebookService, launching: Launching
    ) -> None:
        self._clusters = clusters
        self._admission = admission
        self._notebooks = notebooks
        self._launching = launching

    def ready(self) -> None:
        """Notebooks need nothing but their clusters."""

    def observe(self, cluster: str, rows: Sequence[NotebookRow]) -> View:
        driver, capacity = self._clusters.driver_and_capacity(cluster)
        jobs = driver.observe([key for row in rows for key in (*row.superseded_ids, row.submission_id)])
        if any(job.node_id and job.node_id not in capacity.nodes for job in jobs.values() if not job.state.ended):
            capacity = self._clusters.capacity(cluster, fresh=True)  # tells a new node from one that is gone
        observed = decide.Observed(jobs, capacity.incarnation, capacity.nodes, now_ms())
        return View(driver, observed)

    def decide(self, row: NotebookRow, view: View) -> Step:
        return decide.decide(
            decide.Desired(
                status=row.status,
                submission_id=row.submission_id,
                wanted=row.wanted,
                failures=row.failures,
                superseded=row.superseded_ids,
                submitted_to=row.incarnation,
                reason=row.reason,
            ),
            view.observed,
        )

    def is_note(self, step: Step) -> bool:
        return isinstance(step, decide.Note | decide.Restart | decide.Rest | decide.Wait)

    def perform(self, row: NotebookRow, step: Step, view: View) -> Outcome:
        match step:
            case decide.ReadLog():
                observed = replace(view.observed, said=listen(view.driver, row.submission_id))
                known = replace(view, observed=observed)
                return self.perform(row, self.decide(row, known), known)
            case decide.Submit():
                admitted = self._admission.admit(row.cluster, [row.demand])
                return self._submit(row, view) if admitted else self._queue(row)
            case decide.Note():
                return _noted(row, step)
            case decide.Restart():
                return _restarted(row, step)
            case decide.StopJob(key):
                view.driver.stop(key)
                return Outcome({"next_check_ms": due_ms() + CREATING_PAUSE_MS})
            case decide.Forget(key, known_there):
                if known_there:
                    view.driver.delete(key)
                left = " ".join(other for other in row.superseded_ids if other != key)
                return Outcome({"superseded": left, "next_check_ms": due_ms()})
            case decide.Purge(known_there):
                if known_there:
                    view.driver.delete(row.submission_id)
                return Outcome(remove=True)
            case decide.Rest():
                return Outcome({"next_check_ms": None})
        # Elsewhere each look is a call over the network.
        pause = max(_pause(row), SETTLING_PAUSE_MS) if view.driver.watches else _pause(row)
        return Outcome({"next_check_ms": due_ms() + pause})

    def failed(self, row: NotebookRow, step: Step | None, failure: Exception) -> Outcome | None:
        if not isinstance(failure, Blocked):
            return None
        outcome = _noted(row, decide.Note(row.status, str(failure))) if row.reason != str(failure) else Outcome()
        return replace(outcome, values={**outcome.values, "next_check_ms": due_ms() + failure.pause_ms})

    def written(self, row: NotebookRow, outcome: Outcome) -> None:
        if outcome.events:
            self._notebooks.forget_addresses()
        for event in outcome.events:
            log.info("notebook.status", notebook=row.id, to=event.to_status, reason=event.reason)

    def _submit(self, row: NotebookRow, view: View) -> Outcome:
        try:
            environment, launch = stored_environment(row), self._launching.of(row)
        except (SecretLost, Conflict) as failure:  # waiting would not bring the key back, nor mend the document
            return _noted(row, decide.Note(Status.FAILED, str(failure)))
        kernel = environment.kernel_spec
        pip = tuple(kernel.pip_dependencies or ()) if kernel else ()
        if not self._clusters.capabilities(row.cluster).is_here:
            pip = (JUPYTERLAB, *pip)
        conda = tuple(kernel.conda_dependencies or ()) if kernel else ()
        try:
            view.driver.submit(Submission(launch, pip, conda, image=environment.container_image))
        except AlreadySubmitted:
            log.info("notebook.already_submitted", notebook=row.id, submission=row.submission_id)
        except SubmissionRefused as failure:
            return _noted(row, decide.Note(Status.FAILED, f"The cluster refused the notebook: {failure}"))
        submitted = Event("Submitted", f"Submitted to cluster {row.cluster!r} as {row.submission_id}.",
                          row.status, Status.CREATING)  # fmt: skip
        values = {"status": Status.CREATING, "reason": decide.IS_CREATING, "incarnation": view.observed.incarnation}
        return Outcome(values | {"next_check_ms": due_ms() + SUPERVISOR_MS}, [submitted])

    def _queue(self, row: NotebookRow) -> Outcome:
        reason = self._admission.why_waiting(row.cluster, row.demand.unit, row.id)
        values = {"status": Status.WAITING, "reason": reason, "next_check_ms": due_ms() + QUEUED_PAUSE_MS}
        is_new = row.status != Status.WAITING
        return Outcome(values, [Event("Queued", reason, row.status, Status.WAITING)] if is_new else ())


def _noted(row: NotebookRow, step: decide.Note) -> Outcome:
    values = {
        "status": step.status,
        "reason": step.reason,
        "address": step.address,
        "next_check_ms": due_ms() + _pause(row),
    }
    if step.status == Status.STOPPED:
        values["wanted"] = "stop"  # it ended by itself: nobody wants it to run before somebody starts it
    same = row.status == step.status  # then it is a problem
    return Outcome(values, [Event(step.status.capitalize(), step.reason, row.status, step.status, recurs=same)])


def _restarted(row: NotebookRow, step: decide.Restart) -> Outcome:
    values = {
        "status": Status.WAITING,
        "reason": step.reason,
        "attempt": row.attempt + 1,
        "failures": row.failures + (1 if step.counts else 0),
        "superseded": f"{row.superseded} {row.submission_id}".strip(),
        "incarnation": None,
        "address": None,
        "next_check_ms": due_ms(),
    }
    return Outcome(values, [Event("Restarted", step.reason, row.status, Status.WAITING)])


def _pause(row: NotebookRow) -> int:
    """How long to leave a row alone, in ms."""
    if row.wanted == "run" and row.status == Status.RUNNING:
        return RUNNING_PAUSE_MS
    return CREATING_PAUSE_MS if row.status in (Status.CREATING, Status.TERMINATING) else SETTLING_PAUSE_MS
