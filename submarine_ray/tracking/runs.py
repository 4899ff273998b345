"""An experiment's own run, made once by whoever comes first: its id is known before it is made.

MLflow's API draws a new id for each run, so that two services that take an experiment from one another would make two.
What stands in MLflow's tables afterwards is what its `create_run` would have left (SqlAlchemyStore of MLflow 3.17;
tests/api/test_runs.py compares them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, Conflict, DatabaseUnavailable, TrackingUnavailable
from submarine_ray.spec.tags import EXPERIMENT_TAG, RUN_NAME_TAG, SWEEP_TAG
from submarine_ray.tracking.entities import Client

if TYPE_CHECKING:
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun

TRIES = 3
ACTIVE = "active"
RUNNING = "RUNNING"
MOST_USERS = 100  # of a model that are listed


@dataclass(frozen=True)
class NewRun:
    """A run to make: its id, the name of its MLflow experiment, its own name, and its tags."""

    run_id: str
    experiment: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class OpenedRun:
    """A run that takes records; `told` is what users should know of how it came to be."""

    run_id: str
    mlflow_experiment_id: str
    told: str | None = None


class OwnRuns:
    """Makes runs in MLflow's tables; `client` is MLflow's, `database` its database."""

    def __init__(self, client: Client, database: Database) -> None:
        self._client = client
        self._database = database
        self._experiments: dict[str, str] = {}

    def open(self, new: NewRun) -> OpenedRun:
        """The run, which is made if there is none of this id, and taken out of MLflow's bin if it lies there.

        Raises TrackingUnavailable.
        """
        for _ in range(TRIES):
            try:
                opened = self._open(new, self.experiment(new.experiment))
            except (IntegrityError, Conflict):  # another service has just made it
                continue
            except DatabaseUnavailable as failure:
                raise TrackingUnavailable("MLflow's database does not answer; try again in a moment.") from failure
            if opened:
                return opened
            self._experiments.pop(new.experiment, None)  # removed for good since it was remembered
        raise TrackingUnavailable(f"MLflow's experiment {new.experiment!r} is being changed; try again in a moment.")

    def experiment(self, name: str) -> str:
        """The id of the MLflow experiment of this name, which is made if there is none; it may lie in the bin."""
        if name not in self._experiments:
            self._experiments[name] = self._found_or_made(name)
        return self._experiments[name]

    def _found_or_made(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                # The server's artifact proxy, not a path: replicas elsewhere can reach it too.
                return self._client.create_experiment(name, artifact_location=f"mlflow-artifacts:/{name}")
            except AlreadyExists:  # another service has just made it
                found = self._client.get_experiment_by_name(name)
        if found is None:
            raise TrackingUnavailable(f"MLflow's experiment {name!r} is being changed; try again in a moment.")
        return str(found.experiment_id)

    def _open(self, new: NewRun, mlflow_experiment: str) -> OpenedRun | None:
        """None if the MLflow experiment is not there. Raises IntegrityError if somebody makes the run just now."""
        from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlRun

        with self._database.session(write=True) as session:
            run = session.get(SqlRun, new.run_id)
            experiment = session.get(SqlExperiment, run.experiment_id if run else int(mlflow_experiment))
            if experiment is None:
                return None
            told = None
            if run and run.lifecycle_stage != ACTIVE:
                run.lifecycle_stage, run.deleted_time = ACTIVE, None
                told = f"The run {new.run_id} had been deleted in MLflow; it was restored."
            if experiment.lifecycle_stage != ACTIVE:
                experiment.lifecycle_stage, experiment.last_update_time = ACTIVE, now_ms()
                told = (
                    f"The MLflow experiment {experiment.name!r} had been deleted; it was restored to hold the run of "
                    "this experiment. The other runs that were deleted with it stay deleted."
                )
            if run is not None and run.status != RUNNING:  # a sweep that had ended goes on
                run.status, run.end_time = RUNNING, None
            if run is None:
                session.add(_row(new, experiment))
            return OpenedRun(new.run_id, str(experiment.experiment_id), told)


def with_models(database: Database, experiment_id: str) -> list[str]:
    """The ids of an experiment's runs that saved models: its own, its replicas' and its trials'."""
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModel, SqlTag

    own = (SqlTag.key.in_((EXPERIMENT_TAG, SWEEP_TAG)), SqlTag.value == experiment_id)
    query = select(SqlLoggedModel.source_run_id).join(SqlTag, SqlTag.run_uuid == SqlLoggedModel.source_run_id)
    with database.session() as session:
        return list(session.scalars(query.where(*own).distinct().order_by(SqlLoggedModel.source_run_id)))


def that_used(database: Database, model_id: str) -> list[str]:
    """The experiments whose runs have a saved model as their input, the newest run's first."""
    from mlflow.store.tracking.dbmodels.models import SqlInput, SqlRun, SqlTag

    is_input = (SqlInput.source_type == "RUN_INPUT", SqlInput.destination_type == "MODEL_INPUT")
    query = (
        select(SqlTag.value)
        .join(SqlInput, SqlInput.source_id == SqlTag.run_uuid)
        .join(SqlRun, SqlRun.run_uuid == SqlTag.run_uuid)
        .where(*is_input, SqlInput.destination_id == model_id, SqlTag.key.in_((EXPERIMENT_TAG, SWEEP_TAG)))
        .order_by(SqlRun.start_time.desc())
        .limit(MOST_USERS)
    )
    with database.session() as session:
        return list(dict.fromkeys(session.scalars(query)))


def _row(new: NewRun, experiment: SqlExperiment) -> SqlRun:
    from mlflow.entities import RunStatus, SourceType
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from mlflow.utils.uri import append_to_uri_path

    row = SqlRun(
        name=new.name,
        artifact_uri=append_to_uri_path(experiment.artifact_location, new.run_id, "artifacts"),
        run_uuid=new.run_id,
        experiment_id=experiment.experiment_id,
        source_type=SourceType.to_string(SourceType.UNKNOWN),
        source_name="",
        entry_point_name="",
        user_id="unknown",
        status=RunStatus.to_string(RunStatus.RUNNING),
        start_time=now_ms(),
        end_time=None,
        deleted_time=None,
        source_version="",
        lifecycle_stage=ACTIVE,
    )
    row.tags = [SqlTag(key=key, value=value) for key, value in {RUN_NAME_TAG: new.name, **new.tags}.items()]
    return row
