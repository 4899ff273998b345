"""Which of an experiment's runs belong to which attempt: a rerun begins a run of its own, and the others lie below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from submarine_ray.spec.tags import PARENT_TAG, SOURCE_TAG
from submarine_ray.tracking.entities import Run

OURS = "submarine"  # the source of runs that the service begins


def of(run_id: str, found: Sequence[Run]) -> list[Run]:
    """Those of an experiment's runs, oldest first, that belong to the attempt whose own run is `run_id`."""
    begun = [run for run in found if _begins(run)]
    if len(begun) < 2:
        return list(found)
    by_id = {run.info.run_id: run for run in found}
    return [run for run in found if _top(run, by_id, begun) == run_id]


def below(run_id: str, found: Sequence[Run]) -> list[Run]:
    """Those of a sweep's runs that are below the run `run_id`, or below none."""
    by_id = {run.info.run_id: run for run in found}
    return [run for run in found if _climbed(run, by_id).data.tags.get(PARENT_TAG, run_id) == run_id]


def _begins(run: Run) -> bool:
    return run.data.tags.get(SOURCE_TAG) == OURS and PARENT_TAG not in run.data.tags


def _top(run: Run, by_id: Mapping[str, Run], begun: Sequence[Run]) -> str:
    """The attempt's run that a run is below; of one that names no parent, the last that had begun before it."""
    top = _climbed(run, by_id)
    if not _begins(top):
        top = next((one for one in reversed(begun) if one.info.start_time <= top.info.start_time), begun[0])
    return top.info.run_id


def _climbed(run: Run, by_id: Mapping[str, Run]) -> Run:
    seen: set[str] = set()
    while (above := by_id.get(run.data.tags.get(PARENT_TAG, ""))) and run.info.run_id not in seen:
        seen.add(run.info.run_id)
        run = above
    return run
