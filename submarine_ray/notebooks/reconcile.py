"""Brings clusters and notebooks together: the only writer of their observed state."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import structlog

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters.drivers.base import (
    AlreadySubmitted,
    Blocked,
    Driver,
    JobState,
    Submission,
    SubmissionRefused,
    UnknownJob,
    Unreachable,
)
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import SecretLost, SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.notebooks import decide, repository
from submarine_ray.notebooks.service import NotebookService, stored_environment, stored_spec
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.launch import Launch, Notebook, Replica
from submarine_ray.spec.notebooks import NotebookStatus as Status
from submarine_ray.spec.notebooks import path
from submarine_ray.spec.quantities import Resources

log = structlog.get_logger(__name__)

BATCH = 200
SUPERVISOR_MS = 1_000
CREATING_PAUSE_MS = 200
SETTLING_PAUSE_MS = 1_000
QUEUED_PAUSE_MS = 2_000
OUTAGE_PAUSE_MS = 2_000
RUNNING_PAUSE_MS = 3_000
# Only the runner itself begins a line so: what JupyterLab and its kernels write has their replica's name before it.
_LISTENS = re.compile(rb"\[submarine\] notebook at (\S+:\d+)$")
_IDLE = b"[submarine] the notebook was idle"
LONGEST_NOTICE = 4096
# Elsewhere than on this machine nobody has installed it for us.
JUPYTERLAB = "jupyterlab>=4.4,<5"

Values = dict[str, Any]
Outcome = tuple[Values, list[Event]]


class NotebookReconciler:
    """One tick takes the next step of each notebook that is due."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        notebooks: NotebookService,
        secrets: SecretBox,
        settings: Settings,
        lessee: Lessee,
        tracking_uri: str,
        tokens: Tokens,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._notebooks = notebooks
        self._secrets = secrets
        self._settings = settings
        self._lessee = lessee
        self._tracking_uri = tracking_uri
        self._tokens = tokens
        self._outages: set[str] = set()
        self._has_looked = False

    def tick(self) -> float:
        """The seconds until more is due. One loop works on this table, so what this service holds is its own past."""
        with self._database.session(write=True) as session:
            (repository.release_all if self._has_looked else repository.recover)(session, self._lessee)
            rows = repository.claim(session, self._lessee, BATCH)
        self._has_looked = True
        by_cluster: dict[str, list[NotebookRow]] = {}
        for row in rows:
            by_cluster.setdefault(row.cluster, []).append(row)
        for cluster, group in by_cluster.items():
            self._reconcile(cluster, group)
        with self._database.session() as session:
            due = repository.next_due(session)
        return max(0.02, (due - due_ms()) / 1000) if due is not None else 60.0

    def _reconcile(self, cluster: str, rows: list[NotebookRow]) -> None:
        try:
            driver = self._clusters.driver(cluster)
            capacity = self._clusters.capacity(cluster)
            jobs = driver.observe([key for row in rows for key in (*row.superseded_ids, row.submission_id)])
            if any(job.node_id and job.node_id not in capacity.nodes for job in jobs.values() if not job.state.ended):
                capacity = self._clusters.capacity(cluster, fresh=True)  # tells a new node from one that is gone
        except (Unreachable, SubmarineError) as failure:
            if cluster not in self._outages:
                log.warning("notebooks.cluster_unreachable", cluster=cluster, why=str(failure), waiting=len(rows))
            self._outages.add(cluster)
            for row in rows:
                self._write(row, {"next_check_ms": due_ms() + OUTAGE_PAUSE_MS}, [])
            return
        self._outages.discard(cluster)
        look = decide.Seen(jobs, capacity.incarnation, capacity.nodes, now_ms())
        for row in rows:
            try:
                seen = self._seen(driver, row, look, capacity.total)
                values, happened = self._take(driver, row, seen)
            except Blocked as failure:
                observed = decide.Observe(row.status, str(failure))
                values, happened = _observe(row, observed, None) if row.reason != str(failure) else ({}, [])
                values = values | {"next_check_ms": due_ms() + failure.pause_ms}
            except (Unreachable, SubmarineError) as failure:
                log.warning("notebooks.step_failed", notebook=row.id, why=str(failure))
                values, happened = {"next_check_ms": due_ms() + OUTAGE_PAUSE_MS}, []
            self._write(row, values, happened)

    def _seen(self, driver: Driver, row: NotebookRow, look: decide.Seen, total: Resources | None) -> decide.Seen:
        """The look at the cluster, with what matters to this notebook alone."""
        job = look.jobs.get(row.submission_id)
        if job is None and row.incarnation is None:
            demand = Resources(row.demand_cpu, row.demand_memory, row.demand_gpu)
            has_room = total is None or (self._clusters.in_use(row.cluster) + demand).fits(total)
            return replace(look, has_room=has_room)
        if job is None or job.state is JobState.PENDING or (row.status == Status.RUNNING and not job.state.ended):
            return look
        address, was_idle, rest = None, False, b""
        try:
            for piece in driver.read_log(row.submission_id):
                *lines, rest = (rest[-LONGEST_NOTICE:] + piece).split(b"\n")
                for line in lines:
                    listens = _LISTENS.match(line) if address is None else None
                    address = listens[1].decode() if listens else address
                    was_idle = was_idle or line.startswith(_IDLE)
        except UnknownJob:
            return look
        return replace(look, address=address, was_idle=was_idle)

    def _write(self, row: NotebookRow, values: Values, happened: list[Event]) -> None:
        if "purge" in values:
            with self._database.session(write=True) as session:
                repository.purge(session, row)
            return
        with self._database.session(write=True) as session:
            applied = repository.apply(session, row, values, happened)
        if applied and happened:
            self._notebooks.forget_places()
            for event in happened:
                log.info("notebook.status", notebook=row.id, to=event.to_status, reason=event.reason)

    def _take(self, driver: Driver, row: NotebookRow, seen: decide.Seen) -> Outcome:
        """Do what was decided; the values to write and what to tell."""
        step = decide.decide(_wish(row), seen)
        match step:
            case decide.Submit():
                return self._submit(driver, row, seen.incarnation)
            case decide.Observe():
                return _observe(row, step, seen)
            case decide.Restart():
                return _restart(row, step)
            case decide.StopJob(key):
                driver.stop(key)
                return {"next_check_ms": due_ms() + CREATING_PAUSE_MS}, []
            case decide.Forget(key, known):
                if known:
                    driver.delete(key)
                left = " ".join(other for other in row.superseded_ids if other != key)
                return {"superseded": left, "next_check_ms": due_ms()}, []
            case decide.Purge(known):
                if known:
                    driver.delete(row.submission_id)
                return {"purge": True}, []
            case decide.Rest():
                return {"next_check_ms": None}, []
            case decide.Queue():
                return self._queue(row)
        # Elsewhere each look is a call over the network.
        pause = max(_pause(row), SETTLING_PAUSE_MS) if driver.watches else _pause(row)
        return {"next_check_ms": due_ms() + pause}, []

    def _submit(self, driver: Driver, row: NotebookRow, incarnation: str | None) -> Outcome:
        try:
            environment, launch = stored_environment(row), self._launch(row)
        except SecretLost as failure:  # waiting would not bring the key back
            return _observe(row, decide.Observe(Status.FAILED, str(failure)), None)
        kernel = environment.kernel_spec
        pip = tuple(kernel.pip_dependencies or ()) if kernel else ()
        if not self._clusters.capabilities(row.cluster).is_here:
            pip = (JUPYTERLAB, *pip)
        conda = tuple(kernel.conda_dependencies or ()) if kernel else ()
        submission = Submission(launch, pip, conda, image=environment.container_image)
        try:
            driver.submit(submission)
        except AlreadySubmitted:
            log.info("notebook.already_submitted", notebook=row.id, submission=row.submission_id)
        except SubmissionRefused as failure:
            return _observe(row, decide.Observe(Status.FAILED, f"The cluster refused the notebook: {failure}"), None)
        submitted = Event("Submitted", f"Submitted to cluster {row.cluster!r} as {row.submission_id}.",
                          row.status, Status.CREATING)  # fmt: skip
        values = {"status": Status.CREATING, "reason": decide.IS_CREATING, "incarnation": incarnation}
        return values | {"next_check_ms": due_ms() + SUPERVISOR_MS}, [submitted]

    def _queue(self, row: NotebookRow) -> Outcome:
        values: Values = {"next_check_ms": due_ms() + QUEUED_PAUSE_MS}
        demand = Resources(row.demand_cpu, row.demand_memory, row.demand_gpu)
        reason = self._clusters.why_waiting(row.cluster, demand)
        if row.status == Status.WAITING:
            return values | ({"reason": reason} if row.reason != reason else {}), []
        queued = Event("Queued", reason, row.status, Status.WAITING)
        return values | {"status": Status.WAITING, "reason": reason}, [queued]

    def _launch(self, row: NotebookRow) -> Launch:
        spec = stored_spec(row)
        idle = spec.spec.idle_seconds
        demand = spec.spec.quantities
        replica = Replica(
            role="notebook",
            index=0,
            command="",
            env={**self._variables(row), **(spec.spec.env_vars or {})},
            cpu=demand.cpu,
            memory=demand.memory,
            gpu=demand.gpu,
        )
        return Launch(
            experiment_id=row.id,
            submission_id=row.submission_id,
            name=row.name,
            framework="Notebook",
            replicas=(replica,),
            keep_work=True,
            service_url=self._settings.url,
            notebook=Notebook(
                folder=f"{row.namespace}/{row.name}",
                path=path(row.namespace, row.name),
                token=self._secrets.open(row.sealed_token),
                idle_seconds=self._settings.notebook_idle_seconds if idle is None else idle,
            ),
        )

    def _variables(self, row: NotebookRow) -> dict[str, str]:
        """What points SDKs at this service: ours, MLflow's, and Submarine's published one; and the notebook's token."""
        service = urlsplit(self._settings.url)
        token = self._tokens.issue(PrincipalKind.NOTEBOOK, row.id)
        return {
            "SUBMARINE_SERVER_DNS_NAME": service.hostname or "",
            "SUBMARINE_SERVER_PORT": str(service.port or (443 if service.scheme == "https" else 80)),
            "MLFLOW_TRACKING_URI": self._tracking_uri,
            "SUBMARINE_TOKEN": token,
            "MLFLOW_TRACKING_TOKEN": token,
        }


def _wish(row: NotebookRow) -> decide.Wish:
    return decide.Wish(
        status=row.status,
        submission_id=row.submission_id,
        wanted=row.wanted,
        failures=row.failures,
        superseded=row.superseded_ids,
        submitted_to=row.incarnation,
        reason=row.reason,
    )


def _observe(row: NotebookRow, step: decide.Observe, seen: decide.Seen | None) -> Outcome:
    values: Values = {
        "status": step.status,
        "reason": step.reason,
        "address": seen.address if seen and step.status == Status.RUNNING else None,
        "next_check_ms": due_ms() + _pause(row),
    }
    if step.status == Status.STOPPED:
        values["wanted"] = "stop"  # it ended by itself: nobody wants it to run before somebody starts it
    same = row.status == step.status  # then it is a problem
    return values, [Event(step.status.capitalize(), step.reason, row.status, step.status, recurs=same)]


def _restart(row: NotebookRow, step: decide.Restart) -> Outcome:
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
    return values, [Event("Restarted", step.reason, row.status, Status.WAITING)]


def _pause(row: NotebookRow) -> int:
    """How long to leave a row alone, in ms."""
    if row.wanted == "run" and row.status == Status.RUNNING:
        return RUNNING_PAUSE_MS
    return CREATING_PAUSE_MS if row.status in (Status.CREATING, Status.TERMINATING) else SETTLING_PAUSE_MS
