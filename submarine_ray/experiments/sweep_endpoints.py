"""HTTP: what changes a sweep while it runs and after it has ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from submarine_ray.core.envelope import Reply, ok
from submarine_ray.experiments.sweeps import Asked, SweepService
from submarine_ray.spec.answers.experiments import Experiment, Trial
from submarine_ray.spec.answers.sweeps import SweepWishes
from submarine_ray.spec.tune import MAX_TRIALS, ExtensionSpec

MAX_WAIT_SECONDS = 60


def add(routes: APIRouter, sweeps: SweepService) -> None:
    """Add the operations of sweeps to those of experiments."""

    @routes.post("/{experiment_id}/extend", summary="Add samples to a sweep")
    def extend(experiment_id: str, extension: ExtensionSpec) -> Reply[Experiment]:
        return ok(sweeps.extend(experiment_id, extension.samples))

    @routes.post("/{experiment_id}/trials/{trial_id}/stop", summary="Stop one trial of a sweep; the sweep goes on")
    def stop(experiment_id: str, trial_id: str) -> Reply[Trial]:
        return ok(sweeps.stop_trial(experiment_id, trial_id))

    @routes.post("/{experiment_id}/wishes", summary="Wait for changes that users ask of a sweep; for its driver")
    async def wishes(
        experiment_id: str,
        submission: Annotated[str, Query(max_length=128)],
        samples: Annotated[int, Query(ge=1, le=MAX_TRIALS)],
        heard: Annotated[str, Query(max_length=40)] = "",
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 20,
    ) -> Reply[SweepWishes]:
        return ok(await sweeps.wishes(experiment_id, Asked(submission, samples, heard), wait))
