"""Runs, metrics, parameters and artifacts: MLflow's stores, spoken to in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.core.database import AWAY, Database
from submarine_ray.core.errors import Conflict, InvalidSpec, NotFound, TrackingUnavailable
from submarine_ray.core.http import App
from submarine_ray.core.settings import Settings
from submarine_ray.spec.answers import experiments as answers
from submarine_ray.spec.answers.experiments import Metric, Trial
from submarine_ray.spec.launch import Tracking
from submarine_ray.spec.numbers import stored
from submarine_ray.spec.records import Param
from submarine_ray.spec.tags import (
    EXPERIMENT_TAG,
    PARENT_TAG,
    REPLICA_TAG,
    SOURCE_TAG,
    STARTED_BY_TAG,
    STATE_TAG,
    run_tags,
)
from submarine_ray.spec.trials import TrialState
from submarine_ray.tracking import artifacts, best, curves, families, tensorboard, trials
from submarine_ray.tracking.artifacts import Artifact
from submarine_ray.tracking.entities import ArtifactStore, Client, MetricPoint, Run
from submarine_ray.tracking.failures import translated, translating
from submarine_ray.tracking.media_index import MediaIndex
from submarine_ray.tracking.mlflow_app import PREFIX, load
from submarine_ray.tracking.paged import every
from submarine_ray.tracking.points import MetricPoints
from submarine_ray.tracking.runs import NewRun, OpenedRun, OwnRuns, that_used, with_models

log = structlog.get_logger(__name__)

LOAD_SECONDS = 120
AGAIN_SECONDS = 2.0
ENDED = ("FINISHED", "FAILED", "KILLED")


class TrackingService:
    """The platform's interface to MLflow. Importing MLflow takes seconds, so it is loaded by a thread: see `start`."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._app: App | None = None
        self._mlflow: Client | None = None
        self._database: Database | None = None
        self._points: MetricPoints | None = None
        self._media_index: MediaIndex | None = None
        self._own: OwnRuns | None = None
        self._stopping = threading.Event()

    @property
    def uri(self) -> str:
        """MLflow's tracking URI, as replicas and users reach it."""
        return f"{self._settings.url}{PREFIX}"

    @property
    def service_url(self) -> str:
        """This service, as replicas reach it."""
        return self._settings.url

    @property
    def has_tensorboard(self) -> bool:
        return tensorboard.is_installed()

    def reference(self, submission: str, run_id: str, mlflow_experiment_id: str) -> Tracking:
        """What a replica of an attempt needs to find its run, with the token that opens that run alone."""
        token = self._tokens.issue(PrincipalKind.ATTEMPT, submission)
        return Tracking(self.uri, run_id, mlflow_experiment_id, token)

    @property
    def database_uri(self) -> str:
        """The stores' own database, for clients in this process."""
        return self._settings.mlflow_url

    @property
    def is_decided(self) -> bool:
        """Whether MLflow is loaded, or could not be: then nobody need wait any more."""
        return self._ready.is_set()

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and self._failure is None

    @property
    def database(self) -> Database | None:
        """MLflow's database; None while MLflow is starting."""
        return self._database

    def start(self) -> None:
        """Load MLflow in the background; what needs it waits. While its database is away, it is tried again."""
        threading.Thread(target=self._load, name="mlflow-load", daemon=True).start()

    def stop(self) -> None:
        """Try no more to load MLflow."""
        self._stopping.set()

    def wait_ready(self, timeout: float = LOAD_SECONDS) -> None:
        """Raises TrackingUnavailable if MLflow could not be loaded, or not in time."""
        if not self._ready.wait(timeout):
            raise TrackingUnavailable("MLflow is still starting; try again in a moment.")
        if isinstance(self._failure, AWAY):
            raise TrackingUnavailable("MLflow's database does not answer; try again in a moment.")
        if self._failure is not None:
            raise TrackingUnavailable(f"MLflow did not start: {self._failure}. The service's log has more.")

    def app(self) -> App:
        self.wait_ready()
        assert self._app is not None  # noqa: S101 (wait_ready has said so)
        return self._app

    def client(self) -> Client:
        """An `MlflowClient` on the stores themselves; it raises our errors (tracking/failures.py)."""
        self.wait_ready()
        assert self._mlflow is not None  # noqa: S101 (wait_ready has said so)
        return self._mlflow

    def open_run(self, run_id: str, name: str, experiment_id: str, replica: str, tags: dict[str, str]) -> OpenedRun:
        """The experiment's run, in the MLflow experiment `name`: made with this id, unless it is there.

        Raises TrackingUnavailable.
        """
        self.wait_ready()
        assert self._own is not None  # noqa: S101 (wait_ready has said so)
        of_ours = {EXPERIMENT_TAG: experiment_id, REPLICA_TAG: replica, SOURCE_TAG: families.OURS}
        return self._own.open(NewRun(run_id, name, experiment_id, of_ours | tags))

    def replica_run(self, run_id: str, experiment_id: str, replica: str) -> str:
        """A new run of a replica's, below the experiment's: as the replica itself makes it (client/mlflow_rest.py)."""
        above = self.client().get_run(run_id).info.experiment_id
        tags = {**run_tags(experiment_id, None), REPLICA_TAG: replica, PARENT_TAG: run_id}
        made = self.client().create_run(above, run_name=f"{experiment_id}-{replica}", tags=tags)
        return made.info.run_id

    def log_params(self, run_id: str, params: Sequence[Param]) -> list[str]:
        """Store parameters; what MLflow does not take of them, in words."""
        refused = []
        for param in params:
            try:
                self.client().log_param(run_id, param.key, param.value)
            except (InvalidSpec, NotFound, Conflict) as failure:
                refused.append(f"{param}: {failure}")
        return refused

    def finish(self, run_id: str, succeeded: bool, stopped: bool = False) -> None:
        """Mark the run, and the replicas' runs below it, as ended."""
        client = self.client()
        status = "FINISHED" if succeeded else "KILLED" if stopped else "FAILED"
        for run in self._family(run_id):
            if run.info.status not in ENDED:
                client.set_terminated(run.info.run_id, status)
        for run in trials.runs(self.client(), run_id):
            if run.info.status not in ENDED:
                if run.data.tags.get(STATE_TAG) == TrialState.RUNNING:
                    client.set_tag(run.info.run_id, STATE_TAG, TrialState.STOPPED)
                client.set_terminated(run.info.run_id, "KILLED")

    def delete(self, run_id: str) -> None:
        client = self.client()
        for run in [*self._family(run_id), *trials.runs(self.client(), run_id)]:
            if run.info.lifecycle_stage == "active":
                client.delete_run(run.info.run_id)

    def metrics(self, run_id: str, key: str | None = None) -> list[Metric]:
        """The last value of each metric of each replica, or with `key` that metric's whole history."""
        points: list[Metric] = []
        for run in self._family(run_id):
            replica = _logged_by(run)
            found: Sequence[MetricPoint] = ()
            if key is None:
                found = run.data._metric_objs
            elif key in run.data.metrics:
                found = self.client().get_metric_history(run.info.run_id, key)
            points += [
                Metric(replica=replica, key=m.key, value=stored(m.value), step=m.step, timestamp=m.timestamp)
                for m in found
            ]
        return points

    def runs(self, run_id: str) -> dict[str, str]:
        """An experiment's runs, and which replica each is of; the first is `run_id` itself."""
        return {run.info.run_id: _logged_by(run) for run in self._family(run_id)}

    def runs_with_models(self, experiment_id: str) -> list[str]:
        """An experiment's runs that saved models, its trials' among them."""
        with translated():
            return with_models(self._tables(), experiment_id)

    def experiments_that_used(self, model_id: str) -> list[str]:
        """The experiments whose runs have logged a saved model as their input."""
        with translated():
            return that_used(self._tables(), model_id)

    def latest(self, runs: Collection[str]) -> list[curves.Latest]:
        """The last value of each metric of some runs."""
        return curves.latest(self._tables(), runs)

    def best_trials(self, sweeps: Mapping[str, best.Objective]) -> dict[str, str]:
        """The run of the best trial of each sweep that has one, by the sweep's own run."""
        return best.trials(self._tables(), sweeps)

    def logged_params(self, runs: Collection[str]) -> list[tuple[str, str, str]]:
        """(run, name, value) of each parameter of some runs."""
        return curves.params(self._tables(), runs)

    def marks(self, runs: Collection[str]) -> dict[str, curves.Mark]:
        """What differs as soon as a run has logged more; nothing while MLflow is starting."""
        if not self.is_ready:
            return {}
        found = curves.marks(self._tables(), runs)
        for run, count in self.media_index.counts(runs).items():
            newest, steps, params = found.get(run, (0, 0, 0))
            found[run] = newest, steps, params + count
        return found

    def curves(
        self,
        runs: Collection[str],
        keys: Collection[str],
        axis: curves.Axis = "step",
        window: curves.Window | None = None,
    ) -> dict[curves.Curve, curves.History]:
        """Histories, small enough to draw; of a window on x, finer ones."""
        return curves.read(self._tables(), runs, keys, axis, window)

    @property
    def points(self) -> MetricPoints:
        """What stores many points at once."""
        self.wait_ready()
        assert self._points is not None  # noqa: S101 (wait_ready has said so)
        return self._points

    @property
    def media_index(self) -> MediaIndex:
        """What knows which images, tables and the like runs have."""
        self.wait_ready()
        assert self._media_index is not None  # noqa: S101 (wait_ready has said so)
        return self._media_index

    def _tables(self) -> Database:
        self.wait_ready()
        assert self._database is not None  # noqa: S101 (wait_ready has said so)
        return self._database

    def trials(self, run_id: str) -> list[Trial]:
        """The trials below a sweep's run, in the order they began; after a patch, those of the new sweep."""
        return trials.documents(trials.runs(self.client(), run_id))

    def trial_runs(self, run_id: str, trial_id: str) -> dict[str, str]:
        """The runs of a trial below a sweep's run, and which replica each is of; the first is the trial's own."""
        found = trials.of_trial(trials.runs(self.client(), run_id), trial_id)
        return {run.info.run_id: _logged_by(run) for run in found}

    def params(self, run_id: str) -> list[answers.Param]:
        return [
            answers.Param(replica=_logged_by(run), key=key, value=value)
            for run in self._family(run_id)
            for key, value in sorted(run.data.params.items())
        ]

    def put_directory(self, run_id: str, directory: Path, path: str = "") -> None:
        """Store what lies in `directory` as artifacts of the run, below `path`."""
        with translated():
            self._artifacts(run_id).log_artifacts(str(directory), path or None)

    def move_files(self, run_id: str, directory: str, into: str, is_own: Callable[[str], bool]) -> None:
        """Put the files directly in `directory` into another, where what comes next does not overwrite them; those
        whose names are the platform's own. What a script has logged there stays as it is.
        """
        found = [one.path for one in self.list_artifacts(run_id, directory) if not one.is_dir]
        paths = [path for path in found if is_own(path.rsplit("/", 1)[-1])]
        if not paths:
            return
        repository = self._artifacts(run_id)
        for path in paths:
            with self.artifact(run_id, path) as file, translated():
                repository.log_artifact(str(file), into)
        try:
            for path in paths:
                repository.delete_artifacts(path)
        except Exception as failure:  # noqa: BLE001 (of any store: one that deletes nothing must not hold up the retry)
            log.info("tracking.artifact_not_deleted", run=run_id, why=str(failure))  # what comes next overwrites them

    def list_artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """What lies directly below `path`. Raises InvalidSpec for a path that leads out of the run."""
        return artifacts.listed(self._artifacts(run_id), path)

    @contextmanager
    def artifact(self, run_id: str, path: str) -> Iterator[Path]:
        """An artifact as a file on this machine, while the context lasts. Raises InvalidSpec, NotFound."""
        with artifacts.opened(self._artifacts(run_id), path) as file:
            yield file

    @contextmanager
    def file(self, location: str, path: str) -> Iterator[Path]:
        """As `artifact`, of what lies at an artifact URI: nothing outside of it."""
        with artifacts.opened(self._place(location), path) as file:
            yield file

    def saved_models(self, run_id: str) -> list[tuple[str, str]]:
        """(name, MLflow's id) of each model that a run saved, in the order in which they were saved."""
        client = self.client()
        run = client.get_run(run_id)
        outputs = run.outputs.model_outputs if run.outputs else []
        found = sorted((client.get_logged_model(o.model_id) for o in outputs), key=lambda m: m.creation_timestamp)
        return [(model.name, model.model_id) for model in found]

    def _load(self) -> None:
        while not self._stopping.is_set():
            try:
                self._begin()
                self._failure = None
            except AWAY as failure:  # it may be back in a moment
                self._failure = failure
                log.warning("tracking.database_unavailable", why=str(failure.__cause__ or failure))
            except BaseException as failure:
                self._failure = failure
                log.exception("tracking.load_failed")
                self._stopping.set()
            self._ready.set()
            if self._failure is None:
                return
            self._stopping.wait(AGAIN_SECONDS)

    def _begin(self) -> None:
        database = Database(self._settings.mlflow_url)
        try:
            with database.alone("mlflow_migration"):  # MLflow's own has no lock
                app = load(self._settings)
                points = MetricPoints(database)
                points.prepare()
                media_index = MediaIndex(database)
                media_index.prepare()
        except BaseException:
            database.close()
            raise
        from mlflow import MlflowClient

        mlflow: Client = MlflowClient(tracking_uri=self.database_uri, registry_uri=self.database_uri)
        self._mlflow = translating(mlflow)
        self._own = OwnRuns(self._mlflow, database)
        self._app, self._database, self._points, self._media_index = app, database, points, media_index

    def _runs(self, mlflow_experiment: str, experiment_id: str) -> list[Run]:
        """An experiment's runs: its own first, then the replicas'."""
        mine = f"tags.`{EXPERIMENT_TAG}` = '{experiment_id}'"
        oldest_first = ["attributes.start_time ASC"]
        return every(self.client().search_runs, [mlflow_experiment], mine, order_by=oldest_first)

    def _family(self, run_id: str) -> list[Run]:
        run = self.client().get_run(run_id)
        experiment_id = run.data.tags.get(EXPERIMENT_TAG)
        return families.of(run_id, self._runs(run.info.experiment_id, experiment_id)) if experiment_id else [run]

    def _artifacts(self, run_id: str) -> ArtifactStore:
        """The run's artifacts where they lie, without the detour over our own HTTP port."""
        return self._place(self.client().get_run(run_id).info.artifact_uri)

    def _place(self, uri: str) -> ArtifactStore:
        self.wait_ready()  # two threads that import MLflow at once leave it broken
        return artifacts.repository(uri, self.storage_uri(uri), self._settings.artifacts)

    def storage_uri(self, uri: str) -> str:
        """Where an artifact URI's files lie, with the server's artifact proxy resolved."""
        if not uri.startswith("mlflow-artifacts:"):
            return uri
        return f"{self._settings.artifacts.rstrip('/')}/{uri.split(':', 1)[1].lstrip('/')}"


def _logged_by(run: Run) -> str:
    """Whose a run's records are: a replica's, or those of a run that the script in a replica started itself."""
    tags = run.data.tags
    if STARTED_BY_TAG in tags:
        return f"{tags[STARTED_BY_TAG]}/{run.info.run_name}"
    return tags.get(REPLICA_TAG, "")
