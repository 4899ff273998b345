"""Starts a sweep or takes it up again, and says what came of it."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from submarine_ray.client.mlflow_rest import run_id
from submarine_ray.client.save_model import Saved, register
from submarine_ray.client.spool import TrackingRefused
from submarine_ray.runner import code, provenance, train
from submarine_ray.runner.code import Workspace
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.function import TrainFunction
from submarine_ray.runner.gang import END_SECONDS, bundle
from submarine_ray.runner.lines import LineWriter
from submarine_ray.spec.launch import FINAL_STATUS, Launch, Tune
from submarine_ray.spec.tags import REGISTERED_TAG, TRIAL_TAG

# Read when Ray Tune is imported, or a sweep begins.
_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    # MLflow has the metrics: CSV, JSON and TensorBoard files beside each trial would say the same.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A metric that is missing is told in our own words, after the first trial.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # What has ended is noted so often, so that a driver that dies forgets no more.
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_WARN_THRESHOLD_S": "5",
}
POPULATION_CHECKPOINTS = 10
CANDIDATES = 50  # so far down the ranking a model is looked for
WHOLE_GROUP_BYTES = 1_000_000


def run(launch: Launch, tune: Tune) -> None:
    """Run the sweep to its end. Raises CommandFailed, InvalidLaunch."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    # A trial that has to end may be in the middle of a long step; its processes have their time of grace.
    os.environ.setdefault("TUNE_FORCE_TRIAL_CLEANUP_S", str(launch.grace_seconds + int(END_SECONDS)))
    train.set_defaults()
    workspace = code.prepare(launch, "driver") if launch.function else None
    report = provenance.report(launch, workspace.directory if workspace else Path())
    ray.init(log_to_driver=False, logging_level="WARNING")
    writer = LineWriter()
    writer.end_on_sigterm(launch.grace_seconds)
    try:
        _sweep(launch, tune, writer.sink, workspace)
    finally:
        if report:
            report.close()
        writer.close()
        ray.shutdown()
        if workspace:
            workspace.close()


def _sweep(launch: Launch, tune: Tune, sink: Any, workspace: Workspace | None) -> None:
    from submarine_ray.runner.tune import groups
    from submarine_ray.runner.tune import sweep as following
    from submarine_ray.runner.tune.wishes import Wishes

    groups.install()
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # each failure is told by our own callback, once
    warnings.filterwarnings("ignore", module="ray")
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="numpy")  # percentiles of diverged trials
    function = TrainFunction.read(workspace.directory) if workspace else None
    wishes = Wishes(launch, tune)
    sweep = following.Sweep(launch, tune, wishes, sink)
    following.follow(sweep)
    tuner = _tuner(launch, tune, function, sink)
    wishes.start()
    try:
        results = tuner.fit()
        wishes.close()
    finally:
        sweep.close()
    trials = results._experiment_analysis.trials
    if sweep.hopeless:
        raise _failed(sweep.hopeless)
    best = sweep.best(trials)
    if best is None:
        first = next(iter(sweep.failures.values()), sweep.why_none(trials))
        raise _failed(f"all {len(trials)} trials failed; the first: {first}" if sweep.failures else first)
    params = following.in_words(best.config["params"])
    following.say(f"best trial {best.trial_id}: {tune.metric}={sweep.value(best):.6g}, {params}")
    _register(launch, tune, sweep.ranked(trials))


def _failed(why: str) -> CommandFailed:
    return CommandFailed(f"the sweep failed: {why}", FINAL_STATUS)


def _tuner(launch: Launch, tune: Tune, function: Any, sink: Any) -> Any:
    """A new sweep, or the one that an earlier attempt began."""
    from ray import tune as ray_tune

    from submarine_ray.runner.tune import search
    from submarine_ray.runner.tune.sweep import Follower, Rules
    from submarine_ray.runner.tune.trial import SCORE, Trial, sweep_name

    trainable = ray_tune.with_resources(
        ray_tune.with_parameters(Trial, launch=launch, function=function, sink=sink), _resources(launch)
    )
    storage = (launch.storage_dir or str(Path.cwd())).rstrip("/")  # a directory, or a URL such as s3://bucket/path
    name = sweep_name(launch)
    if ray_tune.Tuner.can_restore(f"{storage}/{name}"):
        return ray_tune.Tuner.restore(
            f"{storage}/{name}", trainable=trainable, param_space={}, resume_unfinished=True, restart_errored=False
        )
    if "://" not in storage:
        Path(storage).mkdir(parents=True, exist_ok=True)
    return ray_tune.Tuner(
        trainable,
        param_space={},
        tune_config=ray_tune.TuneConfig(
            metric=SCORE,
            mode=tune.mode,
            search_alg=search.algorithm(tune),
            scheduler=search.scheduler(tune),
            reuse_actors=not _is_group(launch),
            trial_dirname_creator=_trial_id,
        ),
        run_config=ray_tune.RunConfig(
            name=name,
            storage_path=str(storage),
            stop=Rules(tune),
            callbacks=[Follower()],
            failure_config=ray_tune.FailureConfig(max_failures=tune.max_failures),
            checkpoint_config=ray_tune.CheckpointConfig(num_to_keep=_checkpoints(tune), checkpoint_at_end=False),
            verbose=0,
        ),
    )


def _checkpoints(tune: Tune) -> int:
    """How many a trial keeps: one to resume from, but where others take them over, those that they may be reading."""
    is_population_based = tune.algorithm == "pbt" or tune.scheduler.get("type") == "pbt"
    return POPULATION_CHECKPOINTS if is_population_based else 1


def _trial_id(trial: Any) -> str:
    """The name of a trial's directory; Ray Tune's own has all parameters in it."""
    return str(trial.trial_id)


def _resources(launch: Launch) -> Any:
    """What Ray Tune reserves for a trial before it begins: a bundle for each replica."""
    from ray.tune import PlacementGroupFactory

    if len(launch.replicas) == 1:
        return PlacementGroupFactory([bundle(launch.replicas[0])])
    if _is_group(launch):
        # Ray Train reserves the group's own; as many trials run as there is room for.
        return PlacementGroupFactory([{"memory": WHOLE_GROUP_BYTES}])
    # An empty head: the trial itself is beside its first replica, and costs nothing.
    return PlacementGroupFactory([{}, *map(bundle, launch.replicas)], strategy="PACK")


def _is_group(launch: Launch) -> bool:
    """Whether each trial starts a worker group of Ray Train's, which ends only with the process that owns it."""
    return launch.function and len(launch.replicas) > 1


def _register(launch: Launch, tune: Tune, ranked: list[Any]) -> None:
    """Register the winner's model, once: under the spec's name, else under the one that save_model was given.

    A trial that was ended early may have the best metric and no model: then the best that has one wins.
    """
    from submarine_ray.runner.tune.sweep import say
    from submarine_ray.runner.tune.trial import TrialRun

    if not launch.tracking:
        return
    for trial in ranked[:CANDIDATES]:
        run = TrialRun(launch, trial.trial_id)
        found = run.found(trial.config["params"])
        tags = {tag["key"]: tag["value"] for tag in found["data"].get("tags", [])}
        saved = Saved.from_tags(tags)
        if REGISTERED_TAG in tags:
            return
        if saved is None:
            continue
        if name := tune.register_best or saved.name:
            if trial is not ranked[0]:
                say(f"the best trial saved no model; {trial.trial_id} is the best of those that did")
            _point_to(launch)
            version = register(replace(saved, name=name), {TRIAL_TAG: trial.trial_id})
            with contextlib.suppress(TrackingRefused):
                run.tag(run_id(found), {REGISTERED_TAG: version})
        return
    if tune.register_best:
        raise _failed(
            f"registerBest is {tune.register_best!r}, and the best trial saved no model: "
            "call submarine.save_model in the code"
        )


def _point_to(launch: Launch) -> None:
    """Where MLflow in this process registers."""
    assert launch.tracking  # noqa: S101 (the caller has looked)
    os.environ |= {"SUBMARINE_EXPERIMENT_ID": launch.experiment_id, "MLFLOW_TRACKING_URI": launch.tracking.uri}
    if launch.tracking.token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = launch.tracking.token
