"""One trial as Ray Tune sees it: a step is a report of the sweep's metric."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from submarine_ray.client.mlflow_rest import MlflowRest, as_tags, run_id
from submarine_ray.client.spool import Run
from submarine_ray.runner import lines, places
from submarine_ray.runner.errors import CommandFailed, RunnerError
from submarine_ray.runner.hook import submarine_mlflow
from submarine_ray.runner.process import ENDED_STATUS
from submarine_ray.runner.tune.work import (
    CommandWork,
    FunctionWork,
    GroupWork,
    Reports,
    Work,
    function_variables,
    trial_launch,
)
from submarine_ray.spec import passing, space
from submarine_ray.spec.launch import Launch, Tune
from submarine_ray.spec.numbers import stored
from submarine_ray.spec.tags import IS_TRIAL_TAG, PARAMS_TAG, STATE_TAG, SWEEP_NAME_TAG
from submarine_ray.spec.trials import TrialState

# In a result: what the code logged, by names that are none of Ray Tune's ("done" would end the trial); and our own.
LOGGED = "logged."
SCORE = "submarine_score"
REPORTS = "submarine_reports"
ENDED = "submarine_ended"
_COUNT_FILE = ".submarine-reports"
PATIENCE_SECONDS = 600
STOP_SECONDS = 5.0  # beyond the time of grace, in which a trial's processes have been killed and reaped
# asha and hyperband need to know how long a trial may take.
DEFAULT_ITERATIONS = 100

# The service may be restarting; a trial waits for it rather than fail.
patiently = retry(
    retry=retry_if_exception_type(OSError),
    stop=stop_after_delay(PATIENCE_SECONDS),
    wait=wait_random_exponential(0.1, max=5),
    reraise=True,
)


def result(metrics: dict[str, float], tune: Tune) -> dict[str, Any]:
    """What the code logged, as Ray Tune gets it; and what schedulers and searchers compare: the worst there is once the
    trial has diverged, or an infinity would be the best of all, and its weights copied.
    """
    found: dict[str, Any] = {f"{LOGGED}{name}": value for name, value in metrics.items()}
    if (value := metrics.get(tune.metric)) is not None:
        worst = -math.inf if tune.mode == "max" else math.inf
        found[SCORE] = value if math.isfinite(value) else worst
    return found


def longest(tune: Tune) -> float:
    """After how many reports a trial has done all it was asked to."""
    asked = [tune.scheduler.get("max_iterations"), tune.stop.get("iterations")]
    default = DEFAULT_ITERATIONS if tune.scheduler.get("type") in ("asha", "hyperband") else math.inf
    return float(min((count for count in asked if count), default=default))


def sweep_name(launch: Launch) -> str:
    """The same for each attempt of a sweep, however far it was extended: attempts go on. A rerun, which has a run of
    its own, and another spec begin anew.
    """
    what: list[Any] = [launch.tracking.run_id if launch.tracking else None]
    what += [asdict(replace(launch.tune, max_concurrent=0, num_samples=0)) if launch.tune else None]
    what += [asdict(replica) for replica in launch.replicas]
    what += [asdict(launch.code) if launch.code else None]
    return f"{launch.experiment_id}-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]}"


class TrialRun:
    """A trial's run in MLflow, below the experiment's."""

    def __init__(self, launch: Launch, trial_id: str) -> None:
        assert launch.tracking  # noqa: S101 (asked before)
        self._run = Run(
            uri=launch.tracking.uri,
            run_id=launch.tracking.run_id,
            mlflow_experiment_id=launch.tracking.experiment_id,
            experiment_id=launch.experiment_id,
            replica=launch.replicas[0].name,
            is_leader=True,
            token=launch.tracking.token,
            trial_id=trial_id,
        )
        self._rest = MlflowRest(self._run)
        self._sweep_name = sweep_name(launch)

    @patiently
    def found(self, params: dict[str, Any]) -> dict[str, Any]:
        """The run as MLflow has it; made if it is not there. Raises OSError, TrackingRefused."""
        more = {
            PARAMS_TAG: json.dumps(space.flat(params)),
            STATE_TAG: TrialState.RUNNING,
            SWEEP_NAME_TAG: self._sweep_name,
        }
        name = f"{self._run.experiment_id}-{self._run.trial_id}"
        return self._rest.child_run(self._run, name, {**self._run.tags, IS_TRIAL_TAG: "1"}, more)

    @patiently
    def begin(self, key: str, params: dict[str, Any], is_new: bool) -> None:
        """Note the parameters: as MLflow's, which never change, and as they are now (population based training)."""
        flat = space.flat(params)
        values = [{"key": name, "value": space.as_text(value)[:6000]} for name, value in flat.items()]
        tags = {PARAMS_TAG: json.dumps(flat), STATE_TAG: TrialState.RUNNING}
        batch = {"run_id": key, "tags": as_tags(tags), "params": values if is_new else []}
        self._rest.post("runs/log-batch", batch)
        if not is_new:  # it may have been ended with an earlier attempt
            self._rest.post("runs/update", {"run_id": key, "status": "RUNNING"})

    @patiently
    def end(self, key: str, tags: dict[str, str], status: str) -> None:
        self._rest.tag(key, tags)
        self._rest.end(key, status)

    @patiently
    def tag(self, key: str, tags: dict[str, str]) -> None:
        self._rest.tag(key, tags)


class Trial(tune.Trainable):  # type: ignore[misc]
    """Does the work of one trial after the other: processes are used again."""

    def setup(self, config: dict[str, Any], launch: Launch, function: Any, sink: Any) -> None:
        for name in ("ray.tune", "ray.train"):
            logging.getLogger(name).setLevel(logging.WARNING)  # each checkpoint is a line, in the user's log
        self._experiment = launch
        self._function = function
        self._sink = sink
        self._ending = threading.Event()
        self._idle = threading.Event()
        self._begin(config)
        lines.when_told(sink, lambda: str(self.trial_id), self._stop, self._end)

    def _begin(self, config: dict[str, Any]) -> None:
        self._params: dict[str, Any] = config["params"]
        self._work: Work | None = None
        self._given: Path | None = None
        self._seen: tuple[int, int] = (0, 0)
        self._run: TrialRun | None = None
        self._run_id = ""
        self._noting: threading.Thread | None = None
        self._is_stopped = False
        assert self._experiment.tune  # noqa: S101 (only sweeps have trials)
        self._reports = Reports(self._experiment.tune.metric)
        self._longest = longest(self._experiment.tune)

    def step(self) -> dict[str, Any]:
        self._idle.clear()
        try:
            if not self._ending.is_set():
                return self._step()
        except RunnerError:
            if not self._ending.is_set() and not self._is_stopped:
                raise
            if not self._ending.is_set():
                return self._stopped()
        finally:
            self._idle.set()
        lines.leave_for_good(self._sink, self.trial_id)
        raise AssertionError  # never: the process ends first

    def _end(self) -> None:
        """The sweep is stopped: the trial's processes have their time of grace, a function ends at its next report."""
        self._ending.set()
        if self._work:
            self._work.ask_to_end()

    def _stop(self, trial_id: str) -> None:
        """A user has stopped this trial alone: its processes have their time of grace, a function until its next
        report. What is not over then ends with this process.
        """
        if trial_id != self.trial_id or self._is_stopped:
            return
        self._is_stopped = True
        if self._work:
            self._work.ask_to_end()
        if not self._idle.wait(self._experiment.grace_seconds + STOP_SECONDS) and trial_id == self.trial_id:
            ray.get(self._sink.leave.remote(trial_id))
            os._exit(ENDED_STATUS)

    def _stopped(self) -> dict[str, Any]:
        """The last result of a trial that a user has stopped."""
        self._end_work()
        told = {REPORTS: self._reports.count, "done": True, "should_checkpoint": self._has_new_checkpoint()}
        return {**self._result(self._reports.last), **told}

    def _step(self) -> dict[str, Any]:
        if self._work is None:
            if (finished := self._enter()) is not None:
                return {**self._result(finished), REPORTS: 1, "done": True, ENDED: True}
            self._work = self._start()
            if ray.get(self._sink.begin.remote(self.trial_id)):
                self._is_stopped = True
                return self._stopped()
        report = self._work.next()
        if report is not None and self._reports.count >= self._longest:
            # Its last one: code that ends by itself now has things to do, such as saving its model. A next one ends it.
            report = self._work.next()
        if report is not None:
            told = {REPORTS: self._reports.count, "should_checkpoint": self._has_new_checkpoint()}
            return {**self._result(report), **told}
        self._end_work()
        if self._ending.is_set():  # whatever its status: it has not done all it was to do
            raise CommandFailed("it was told to end (SIGTERM)")
        if self._is_stopped:
            return self._stopped()
        if self._run and self._noting:  # before Ray Tune hears of it: what has ended never runs again
            self._noting.join()
            self._run.tag(self._run_id, {STATE_TAG: TrialState.SUCCEEDED})
        told = {REPORTS: self._reports.count, "done": True, ENDED: True}
        return {**self._result(self._reports.last), **told, "should_checkpoint": self._has_new_checkpoint()}

    def _result(self, metrics: dict[str, float]) -> dict[str, Any]:
        assert self._experiment.tune  # noqa: S101 (only sweeps have trials)
        return result(metrics, self._experiment.tune)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if not self._close():
            return False
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        self._close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        source = self._work.checkpoint if self._work else self._given
        if source and source.exists() and any(source.iterdir()):
            shutil.copytree(source, checkpoint_dir, dirs_exist_ok=True)
            Path(checkpoint_dir, _COUNT_FILE).write_text(str(self._reports.count))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """What the trial goes on from: a copy, for Ray Tune's own may be a passing one."""
        count = Path(checkpoint_dir, _COUNT_FILE)
        if count.exists():
            self._given = passing.directory("trial")
            shutil.copytree(checkpoint_dir, self._given, dirs_exist_ok=True)
            (self._given / _COUNT_FILE).unlink()
            self._reports.count = int(count.read_text())

    @property
    def _root(self) -> Path:
        """This trial's directory on this node."""
        launch: Launch = self._experiment
        base = Path(launch.work_dir or Path(tempfile.gettempdir()) / launch.submission_id)
        return base / "trials" / str(self.trial_id)

    def _enter(self) -> dict[str, float] | None:
        """Make the trial's run; its metrics instead, if it had ended before the sweep was resumed."""
        places.ensure(self._experiment)
        shutil.rmtree(self._root, ignore_errors=True)  # of a try that was lost
        (self._root / "checkpoint").mkdir(parents=True)
        if not self._experiment.tracking:
            return None
        self._run = TrialRun(self._experiment, self.trial_id)
        found = self._run.found(self._params)
        self._run_id = run_id(found)
        tags = {tag["key"]: tag["value"] for tag in found["data"].get("tags", [])}
        if tags.get(STATE_TAG) == TrialState.SUCCEEDED:
            return {metric["key"]: stored(float(metric["value"])) for metric in found["data"].get("metrics", [])}
        arguments = (self._run_id, self._params, not found["data"].get("params"))
        # Beside the work: a trial may be short, and nothing in it asks for this.
        self._noting = threading.Thread(target=self._run.begin, args=arguments, daemon=True)
        self._noting.start()
        return None

    def _start(self) -> Work:
        launch = trial_launch(self._experiment, self._params, self.trial_id, self._run_id, self._root)
        if self._given:
            shutil.copytree(self._given, self._root / "checkpoint", dirs_exist_ok=True)
        if not launch.function:
            return CommandWork(launch, self._reports, self._write, self._root / "checkpoint")
        if len(launch.replicas) > 1:
            return GroupWork(launch, self._reports, self._function, self._params, self._sink)
        os.environ.update(function_variables(launch))
        submarine_mlflow.install()
        return FunctionWork(launch, self._reports, self._function, self._params, self._put(f"trial-{self.trial_id}"))

    def _write(self, replica: str, lines: list[str]) -> None:
        alone = len(self._experiment.replicas) == 1
        self._put(f"trial-{self.trial_id}" if alone else f"trial-{self.trial_id}-{replica}")(lines)

    def _put(self, name: str) -> Callable[[list[str]], Any]:
        return lambda lines: self._sink.put.remote(name, lines)

    def _has_new_checkpoint(self) -> bool:
        """Whether the work has put something into its checkpoint's directory since the last look."""
        directory = self._work.checkpoint if self._work else None
        if directory is None or not directory.exists():
            return False
        files = [path.stat() for path in directory.rglob("*") if path.is_file()]
        seen = (len(files), max((status.st_mtime_ns for status in files), default=0))
        before, self._seen = self._seen, seen
        return bool(files) and seen != before

    def _close(self) -> bool:
        """End what is under way; whether this process can do other work."""
        ended = self._end_work()
        if ended and self._work:
            shutil.rmtree(self._root, ignore_errors=True)
            if self._given:
                shutil.rmtree(self._given, ignore_errors=True)
        return ended

    def _end_work(self) -> bool:
        """Its checkpoint stays: Ray Tune may still want it."""
        if self._work is None:
            return True
        ended = self._work.stop()
        ray.get(self._sink.leave.remote(self.trial_id))  # all lines before it have arrived
        return ended
