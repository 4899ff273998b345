"""An experiment's results in MLflow: metrics, parameters, trials and artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from submarine_ray.core.errors import Conflict, NotFound
from submarine_ray.experiments.answers import stored_spec
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec.answers.base import Attributes
from submarine_ray.spec.answers.experiments import Metric, Param, SweepAttributes, Trial
from submarine_ray.spec.numbers import is_finite
from submarine_ray.spec.spool.media import MediaHeader
from submarine_ray.spec.trials import TrialState, rank
from submarine_ray.tracking.artifacts import Artifact
from submarine_ray.tracking.media import MediaService
from submarine_ray.tracking.service import TrackingService


class FindAttempt(Protocol):
    """Finds an attempt of an experiment by its number; without one, the current. Raises NotFound."""

    def __call__(self, experiment_id: str, attempt: int | None = None) -> ExperimentRow | AttemptRow: ...


class ResultService:
    """Everything is of the current attempt, unless one is named."""

    def __init__(self, row: FindAttempt, tracking: TrackingService) -> None:
        self._row = row
        self._tracking = tracking
        self.media = MediaService(tracking)

    @property
    def has_tracking(self) -> bool:
        return self._tracking.is_ready

    @property
    def has_tensorboard(self) -> bool:
        return self._tracking.has_tensorboard

    def metrics(self, experiment_id: str, key: str | None, attempt: int | None = None) -> list[Metric]:
        """The last value of each metric of each replica, or with `key` that metric's whole history."""
        row = self._row(experiment_id, attempt)
        return self._tracking.metrics(row.run_id, key) if row.run_id else []

    def params(self, experiment_id: str, attempt: int | None = None) -> list[Param]:
        row = self._row(experiment_id, attempt)
        return self._tracking.params(row.run_id) if row.run_id else []

    def runs(self, experiment_id: str, attempt: int | None = None) -> dict[str, str]:
        """An attempt's MLflow runs, each with its replica; none before the attempt's first run."""
        row = self._row(experiment_id, attempt)
        return self._tracking.runs(row.run_id) if row.run_id else {}

    def run_id(self, experiment_id: str, attempt: int | None = None, trial_id: str | None = None) -> str:
        """An attempt's MLflow run, or that of a trial of it. Raises NotFound, Conflict before there is one."""
        if trial_id:
            return self.trial(experiment_id, trial_id, attempt).run_id
        row = self._row(experiment_id, attempt)
        if row.run_id is None:
            raise Conflict(f"{experiment_id} has not started yet, so it has nothing to register.")
        return row.run_id

    def trials(
        self, experiment_id: str, attempt: int | None = None
    ) -> tuple[list[Trial], SweepAttributes | Attributes]:
        """A sweep's trials, the best first; and the answer's attributes, which are empty for what is no sweep."""
        row = self._row(experiment_id, attempt)
        tune = stored_spec(row).tune
        if tune is None:
            return [], Attributes()
        found = self._tracking.trials(row.run_id) if row.run_id else []

        def place(trial: Trial) -> tuple[bool, float, int]:
            return trial.status == TrialState.FAILED, rank(trial.metrics.get(tune.metric), tune.mode), trial.number

        found.sort(key=place)
        best = next((t for t in found if not place(t)[0] and is_finite(t.metrics.get(tune.metric))), None)
        return found, SweepAttributes(metric=tune.metric, mode=tune.mode, total=tune.trials, best=best)

    def trial(self, experiment_id: str, trial_id: str, attempt: int | None = None) -> Trial:
        """One trial of a sweep. Raises NotFound."""
        trials, _ = self.trials(experiment_id, attempt)
        found = next((one for one in trials if one.trial_id == trial_id), None)
        if found is None:
            raise NotFound(f"{experiment_id} has no trial {trial_id[:80]!r}.")
        return found

    def trial_runs(self, experiment_id: str, trial_id: str, attempt: int | None = None) -> dict[str, str]:
        """A trial's MLflow runs, and which replica each is of; none before the first."""
        row = self._row(experiment_id, attempt)
        return self._tracking.trial_runs(row.run_id, trial_id) if row.run_id else {}

    def media_runs(self, experiment_id: str, attempt: int | None = None, trial_id: str | None = None) -> dict[str, str]:
        """The MLflow runs whose images, tables and the like an attempt has, and which replica each is of: in a sweep
        those of its trials too, the best first; or those of one trial.
        """
        if trial_id is not None:
            return self.trial_runs(experiment_id, trial_id, attempt)
        trials, _ = self.trials(experiment_id, attempt)
        of_trials = {trial.run_id: f"trial {trial.number}" for trial in trials}
        return of_trials | self.runs(experiment_id, attempt)

    @contextmanager
    def media_file(self, experiment_id: str, name: str, preview: bool = False) -> Iterator[tuple[Path, MediaHeader]]:
        """An image, a table or the like as a file, while the context lasts. Raises NotFound, also for one of an
        experiment that was deleted.
        """
        self._row(experiment_id, None)
        with self.media.file(experiment_id, name, preview) as found:
            yield found

    def artifacts(self, experiment_id: str, path: str, attempt: int | None = None) -> list[Artifact]:
        row = self._row(experiment_id, attempt)
        return self._tracking.list_artifacts(row.run_id, path) if row.run_id else []

    def trial_models(self, run_id: str) -> list[str]:
        """The names of the models that a trial has saved, by its run."""
        return [name for name, _ in self._tracking.saved_models(run_id)]

    def saved_models(self, experiment_id: str, attempt: int | None = None) -> int:
        """How many models the experiment has saved."""
        row = self._row(experiment_id, attempt)
        return len(self._tracking.saved_models(row.run_id)) if row.run_id else 0

    @contextmanager
    def artifact(self, experiment_id: str, path: str, attempt: int | None = None) -> Iterator[Path]:
        """An artifact as a file, while the context lasts. Raises NotFound, InvalidSpec."""
        row = self._row(experiment_id, attempt)
        if row.run_id is None:
            raise NotFound(f"{experiment_id} has no artifacts yet.")
        with self._tracking.artifact(row.run_id, path) as file:
            yield file
