"""What a version was made of, and what was made of it: its run, code, data and files; endpoints and experiments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from submarine_ray.core.errors import NotFound, SubmarineError
from submarine_ray.models import files
from submarine_ray.spec.answers.models import DatasetInput, ModelFiles, ModelLineage, ModelVersionDetails
from submarine_ray.spec.answers.provenance import Provenance
from submarine_ray.spec.numbers import stored
from submarine_ray.spec.system_metrics import is_system
from submarine_ray.spec.tags import DATA_CONTEXT_TAG, EXPERIMENT_TAG, PARENT_TAG, SWEEP_TAG, TRIAL_TAG
from submarine_ray.tracking.entities import DatasetInput as MlflowInput
from submarine_ray.tracking.entities import ModelVersion, Run
from submarine_ray.tracking.service import TrackingService

MOST_SOURCE = 500

Ran = Callable[[str, str], Provenance]
Text = Callable[[str, int], str | None]


class Details:
    """`ran` answers what the attempt of an experiment that has a run ran with, and raises NotFound."""

    def __init__(self, tracking: TrackingService, ran: Ran) -> None:
        self._tracking = tracking
        self._ran = ran

    def read(
        self, versions: Sequence[ModelVersion], text_of: Callable[[ModelVersion], Text]
    ) -> list[ModelVersionDetails]:
        """Of some versions. `text_of` reads the files of one."""
        runs = [version.run_id for version in versions if version.run_id]
        metrics: dict[str, dict[str, float | str]] = {}
        for point in self._tracking.latest(runs) if runs else ():
            if not is_system(point.key):
                metrics.setdefault(point.run, {})[point.key] = stored(point.value)
        params: dict[str, dict[str, str]] = {}
        for run, key, value in self._tracking.logged_params(runs) if runs else ():
            params.setdefault(run, {})[key] = value
        return [
            ModelVersionDetails(
                name=version.name,
                version=int(version.version),
                metrics=metrics.get(version.run_id or "", {}),
                params=params.get(version.run_id or "", {}),
                files=_files(partial(text_of, version)),
            )
            for version in versions
        ]

    def lineage(self, version: ModelVersion, model_id: str | None, served: str | None) -> ModelLineage:
        """`model_id`: MLflow's of the saved model. `served`: the endpoint that serves it."""
        run = self._run(version.run_id)
        tags = run.data.tags if run else {}
        experiment = version.tags.get(EXPERIMENT_TAG) or tags.get(EXPERIMENT_TAG) or tags.get(SWEEP_TAG)
        used = self._tracking.experiments_that_used(model_id) if model_id else []
        return ModelLineage(
            run_id=version.run_id,
            experiment_id=experiment,
            trial_id=version.tags.get(TRIAL_TAG) or tags.get(TRIAL_TAG),
            ran=self._provenance(experiment, tags.get(PARENT_TAG) or version.run_id),
            datasets=[_dataset(one) for one in run.inputs.dataset_inputs] if run and run.inputs else [],
            endpoint=served,
            used_by=[one for one in used if one != experiment],
        )

    def _run(self, run_id: str | None) -> Run | None:
        try:
            return self._tracking.client().get_run(run_id) if run_id else None
        except NotFound:  # runs may be deleted, their models stay
            return None

    def _provenance(self, experiment: str | None, run_id: str | None) -> Provenance | None:
        try:
            return self._ran(experiment, run_id or "") if experiment else None
        except NotFound:
            return None


def _files(text: Callable[[], Text]) -> ModelFiles | None:
    try:
        return files.read(text())
    except SubmarineError:  # a store that does not answer hides no metrics
        return None


def _dataset(found: MlflowInput) -> DatasetInput:
    one = found.dataset
    return DatasetInput(
        name=one.name,
        digest=one.digest,
        source_type=one.source_type,
        source=one.source[:MOST_SOURCE],
        context=next((tag.value for tag in found.tags if tag.key == DATA_CONTEXT_TAG), None),
    )
