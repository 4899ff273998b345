"""The step that starts an attempt: its MLflow run, its launch, and its submission to the cluster."""

from __future__ import annotations

import structlog

from submarine_ray.clusters.drivers.base import AlreadySubmitted, Driver, Submission, SubmissionRefused
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.clock import due_ms, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.events import Event
from submarine_ray.experiments import decide, outcomes, repository
from submarine_ray.experiments.answers import stored_environment, stored_spec
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.spec.kubernetes import JobOptions
from submarine_ray.spec.launch import Launch
from submarine_ray.spec.plan import plan_launch, plan_replicas
from submarine_ray.spec.system_metrics import DEFAULT_SECONDS
from submarine_ray.spec.tags import CLUSTER_TAG, FRAMEWORK_TAG
from submarine_ray.tracking.runs import OpenedRun
from submarine_ray.tracking.service import TrackingService

log = structlog.get_logger(__name__)

# Ray needs most of a second for its supervisor: looking earlier would only cost the cluster.
SUPERVISOR_MS = 700


class Submitter:
    """Submits attempts."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        tracking: TrackingService,
        system_metrics_seconds: float = DEFAULT_SECONDS,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._tracking = tracking
        self._system_metrics_seconds = system_metrics_seconds

    def submit(self, driver: Driver, row: ExperimentRow, incarnation: str | None, units: int) -> Outcome:
        """Start the row's attempt, of a sweep `units` trials at once; the outcome.

        Raises what clusters and MLflow raise.
        """
        spec = stored_spec(row)
        run = self._opened_run(row, spec)
        if run is None:
            return Outcome({"next_check_ms": due_ms()})
        at_once = units if spec.tune else 1
        launch = plan_launch(
            spec,
            row.id,
            row.submission_id,
            tracking=self._tracking.reference(row.submission_id, run.run_id, run.mlflow_experiment_id),
            service_url=self._tracking.service_url,
            at_once=at_once,
            system_metrics_seconds=self._system_metrics_seconds,
        )
        try:
            driver.submit(_submission(row, spec, launch))
        except AlreadySubmitted:
            log.info("experiment.already_submitted", experiment=row.id, submission=row.submission_id)
        except SubmissionRefused as failure:
            refused = decide.Observe(Status.FAILED, failure.reason, failure.sentence())
            return outcomes.observed(row, refused, None)
        said = f"Submitted to cluster {row.cluster!r} as {row.submission_id}."
        submitted = Event("Submitted", said, row.status, Status.CREATED)
        hurried = outcomes.hurried(row, spec, self._clusters.capacity(row.cluster).grace)
        values = {
            "status": Status.CREATED,
            "created_ms": now_ms(),
            "incarnation": incarnation,
            "reason": None,
            "message": None,
            "next_check_ms": due_ms() + SUPERVISOR_MS,
        }
        return Outcome(values, [submitted, *outcomes.limited(row, spec, at_once), *hurried])

    def _opened_run(self, row: ExperimentRow, spec: ExperimentSpec) -> OpenedRun | None:
        """The MLflow run of the experiment, noted in its row; None if another service has the row by now."""
        leader = plan_replicas(spec)[0].name
        tags = {FRAMEWORK_TAG: spec.meta.framework, CLUSTER_TAG: row.cluster}
        known = row.run_id
        run = self._tracking.open_run(known or row.new_run_id, spec.meta.name, row.id, leader, tags)
        if run.told or not known:
            with self._database.session(write=True) as session:
                happened = [Event("TrackingRestored", run.told)] if run.told else []
                if not repository.note_run(session, row, run.run_id, run.mlflow_experiment_id, happened):
                    return None
        row.run_id, row.mlflow_experiment_id = run.run_id, run.mlflow_experiment_id
        return run


def _submission(row: ExperimentRow, spec: ExperimentSpec, launch: Launch) -> Submission:
    environment = stored_environment(row)
    kernel = environment.kernel_spec if environment else None
    return Submission(
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
