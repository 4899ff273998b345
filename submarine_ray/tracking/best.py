"""Which trial of a sweep is the best, by MLflow's own tables: a look at many sweeps that loads no run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import BigInteger, Boolean, Double, String, and_, column, select, table

from submarine_ray.core.database import Database
from submarine_ray.spec.numbers import is_finite
from submarine_ray.spec.tags import IS_TRIAL_TAG, PARENT_TAG, STATE_TAG, SWEEP_NAME_TAG
from submarine_ray.spec.trials import TrialState, rank

_TAGS = table("tags", column("run_uuid", String), column("key", String), column("value", String))
_RUNS = table("runs", column("run_uuid", String), column("start_time", BigInteger))
_LATEST = table(
    "latest_metrics",
    column("run_uuid", String),
    column("key", String),
    column("value", Double),
    column("is_nan", Boolean),
)


class Objective(NamedTuple):
    """What a sweep optimizes: a metric, and whether to its `min` or its `max`."""

    metric: str
    mode: str


class _Trial(NamedTuple):
    run: str
    sweep: str | None
    state: str | None
    metric: str | None
    value: float | None
    began: int


def trials(database: Database, sweeps: Mapping[str, Objective]) -> dict[str, str]:
    """The run of the best trial of each sweep, by the sweep's run: as `ResultService.trials` ranks them."""
    if not sweeps:
        return {}
    found: dict[str, list[_Trial]] = {}
    for sweep, trial in _trials(database, sweeps):
        found.setdefault(sweep, []).append(trial)
    best = {sweep: _best(some, sweeps[sweep]) for sweep, some in found.items()}
    return {sweep: run for sweep, run in best.items() if run is not None}


def _best(found: list[_Trial], objective: Objective) -> str | None:
    newest = max(found, key=lambda one: (one.began, one.run)).sweep
    able = [
        one
        for one in found
        if one.sweep == newest
        and one.state != TrialState.FAILED
        and one.metric == objective.metric
        and is_finite(one.value)
    ]
    return min(able, key=lambda one: (rank(one.value, objective.mode), one.began, one.run)).run if able else None


def _trials(database: Database, sweeps: Mapping[str, Objective]) -> Iterator[tuple[str, _Trial]]:
    """Each trial below the sweeps, once for each metric that one of them optimizes, and the sweep's run before it."""
    is_trial, parent, name, state = (_TAGS.alias() for _ in range(4))
    run = is_trial.c.run_uuid
    metrics = {objective.metric for objective in sweeps.values()}
    query = (
        select(
            parent.c.value, run, name.c.value, state.c.value,
            _LATEST.c.key, _LATEST.c.value, _LATEST.c.is_nan, _RUNS.c.start_time,
        )
        .join(parent, and_(parent.c.run_uuid == run, parent.c.key == PARENT_TAG))
        .join(_RUNS, _RUNS.c.run_uuid == run)
        .outerjoin(name, and_(name.c.run_uuid == run, name.c.key == SWEEP_NAME_TAG))
        .outerjoin(state, and_(state.c.run_uuid == run, state.c.key == STATE_TAG))
        .outerjoin(_LATEST, and_(_LATEST.c.run_uuid == run, _LATEST.c.key.in_(metrics)))
        .where(is_trial.c.key == IS_TRIAL_TAG, parent.c.value.in_(sweeps))
    )  # fmt: skip
    with database.session() as session:
        for sweep, trial, of, status, metric, value, is_nan, began in session.execute(query):
            yield sweep, _Trial(trial, of, status, metric, None if is_nan else value, began or 0)
