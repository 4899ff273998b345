"""The driver's view of a sweep: what has ended, what is best, and why it may have to end early."""

from __future__ import annotations

import contextlib
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import ray
from ray.tune import Callback, Stopper

from submarine_ray.client.spool import TrackingRefused
from submarine_ray.runner.errors import RunnerError
from submarine_ray.runner.tune.trial import ENDED, LOGGED, REPORTS, TrialRun, longest
from submarine_ray.runner.tune.wishes import Wishes
from submarine_ray.spec import memory, space
from submarine_ray.spec.launch import Launch, Tune
from submarine_ray.spec.tags import CHECKPOINT_TAG, MESSAGE_TAG, STATE_TAG
from submarine_ray.spec.trials import TrialState, rank

NOTICE_SECONDS = 1.0
BY_USER = "Stopped by a user."
_MLFLOW_STATUS = {TrialState.SUCCEEDED: "FINISHED", TrialState.STOPPED: "KILLED", TrialState.FAILED: "FAILED"}


class Sweep:
    """Follows the trials, tells the log, and closes their runs in MLflow."""

    def __init__(self, launch: Launch, tune: Tune, wishes: Wishes, sink: Any) -> None:
        self._launch = launch
        self._tune = tune
        self._sink = sink
        self._said = tune.num_samples
        self.wishes = wishes
        self.at_once = tune.max_concurrent
        self._longest = longest(tune)
        self._rules = Rules(tune)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="trials")
        self._noticed = 0.0
        self._told_best: tuple[str, float] | None = None
        self._stopped: set[str] = set()
        self.states: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.hopeless: str | None = None

    def stepped(self) -> None:
        """Do what users have asked for since the last step."""
        for trial_id in self.wishes.stopped - self._stopped:
            self._stopped.add(trial_id)
            self._sink.stop.remote(trial_id)
        if self.wishes.samples > self._said:
            self._said = self.wishes.samples
            say(f"extended to {self.total} trials")

    @property
    def total(self) -> int:
        """How many trials there will be."""
        return space.trials(self._tune.search_space, self.wishes.samples, self._tune.algorithm)

    def is_stopped(self, trial_id: str) -> bool:
        """Whether a user has asked that this trial ends."""
        return trial_id in self.wishes.stopped

    def started(self, trial: Any) -> None:
        say(f"trial {trial.trial_id} begins: {in_words(trial.config['params'])}")

    def reported(self, trials: list[Any]) -> None:
        if time.monotonic() > self._noticed + NOTICE_SECONDS:
            self._notice(trials)

    def ended(self, trials: list[Any], trial: Any, state: str, why: str = "") -> None:
        self._take_over(trials)
        is_stopped = state != TrialState.SUCCEEDED and self.is_stopped(trial.trial_id)
        if is_stopped:  # however it ended: its process may have had to be killed
            state, why = TrialState.STOPPED, ""
        self.states[trial.trial_id] = state
        if why:
            self.failures[trial.trial_id] = why
        value = metrics(trial.last_result or {}).get(self._tune.metric)
        shown = f"{self._tune.metric}={value:.6g}" if value is not None else f"no {self._tune.metric}"
        say(f"trial {trial.trial_id} {state}: {why or shown} ({len(self.states)} of {self.total} have ended)")
        self._notice(trials)
        is_missing = self._tune.metric not in metrics(trial.last_result or {})
        if state == TrialState.SUCCEEDED and is_missing and self.best(trials) is None:
            self.hopeless = self._never_reported(trial)
        tags = {STATE_TAG: state, MESSAGE_TAG: BY_USER if is_stopped else why[:5000]}
        if trial.checkpoint is not None:
            tags[CHECKPOINT_TAG] = trial.checkpoint.path
        self._write(trial.trial_id, trial.config["params"], tags, _MLFLOW_STATUS[state])

    def best(self, trials: list[Any]) -> Any:
        """The trial with the best last value among those that neither failed nor diverged; None if none has a value."""
        return next(iter(self.ranked(trials)), None)

    def ranked(self, trials: list[Any]) -> list[Any]:
        """Those trials, the best first."""
        self._take_over(trials)
        able = [t for t in trials if self.states.get(t.trial_id) != TrialState.FAILED and self.value(t) is not None]
        return sorted(able, key=lambda trial: rank(self.value(trial), self._tune.mode))

    def why_none(self, trials: list[Any]) -> str:
        """Why there is no best trial, if none failed."""
        metric = self._tune.metric
        last = [value for trial in trials if (value := metrics(trial.last_result or {}).get(metric)) is not None]
        if not last and self._stopped:
            return f"users stopped its trials before one had logged {metric}"
        if not last:
            return "no trial reported anything"
        return f"every trial diverged: the last {metric} of each is NaN or infinite, the first one's {last[0]:g}"

    def state(self, trial: Any) -> str:
        """What became of a trial that did not fail: one that did all it was asked to succeeded."""
        result = trial.last_result or {}
        is_done = result.get(ENDED) or result.get(REPORTS, 0) >= self._longest or self._rules.holds(result)
        if self.is_stopped(trial.trial_id) and not result.get(ENDED):
            return TrialState.STOPPED
        return TrialState.SUCCEEDED if is_done else TrialState.STOPPED

    def value(self, trial: Any) -> float | None:
        """The trial's last value of the sweep's metric; None if it has diverged: NaN and infinities never win."""
        value = metrics(trial.last_result or {}).get(self._tune.metric)
        return float(value) if value is not None and math.isfinite(value) else None

    def close(self) -> None:
        """Until all that MLflow is to know has been written."""
        self._writer.shutdown(wait=True)

    def _take_over(self, trials: list[Any]) -> None:
        """What an earlier driver of this sweep had seen end."""
        for trial in trials:
            if trial.trial_id not in self.states and trial.status in ("TERMINATED", "ERROR"):
                is_failed = trial.status == "ERROR" and not self.is_stopped(trial.trial_id)
                self.states[trial.trial_id] = TrialState.FAILED if is_failed else self.state(trial)

    def _notice(self, trials: list[Any]) -> None:
        best = self.best(trials)
        if best is None:
            return
        now = (best.trial_id, self.value(best) or 0.0)
        if now != self._told_best:
            self._told_best, self._noticed = now, time.monotonic()
            say(f"best so far: {self._tune.metric}={now[1]:.6g} in trial {now[0]}, {in_words(best.config['params'])}")

    def _never_reported(self, trial: Any) -> str:
        logged = ", ".join(sorted(metrics(trial.last_result or {}))) or "nothing"
        metric = self._tune.metric
        return (
            f"no trial reports the metric {metric!r}: the first one has ended and logged {logged}. "
            f"Log it with submarine.log_metric({metric!r}, value, step) or ray.train.report, or set tune.metric"
        )

    def _write(self, trial_id: str, params: dict[str, Any], tags: dict[str, str], status: str) -> None:
        if self._launch.tracking:
            run = TrialRun(self._launch, trial_id)
            self._writer.submit(_end_run, run, params, tags, status)


def _end_run(run: TrialRun, params: dict[str, Any], tags: dict[str, str], status: str) -> None:
    with contextlib.suppress(TrackingRefused):  # the experiment was deleted in the meantime
        run.end(run.found(params)["info"]["run_id"], tags, status)


def metrics(result: dict[str, Any]) -> dict[str, float]:
    """What the code logged, of a result of Ray Tune's."""
    return {key.removeprefix(LOGGED): value for key, value in result.items() if key.startswith(LOGGED)}


def in_words(params: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={space.as_text(value)}"
        for name, value in space.flat(params).items()
    )


def say(text: str) -> None:
    print(f"[submarine] {text}", flush=True)


def why(trial: Any) -> str:
    """What ended a trial, in a line."""
    # Its file, where the driver has just written it: what Trial.get_error reads is a copy that comes later.
    name = trial.run_metadata.pickled_error_filename
    file = Path(trial.local_path, name) if name and trial.local_path else None
    if file is None or not file.exists():
        return "no more is known"
    error = cloudpickle.loads(file.read_bytes())
    cause = getattr(error, "cause", None) or error
    said = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if lacking := memory.of_ray(str(cause)):
        return lacking
    if isinstance(cause, ray.exceptions.RayActorError):
        return "its process or node died"
    own = isinstance(cause, RunnerError)
    return (
        (said[-1] if said else "no message")[:1000]
        if own
        else f"{type(cause).__name__}: {said[-1] if said else ''}"[:1000]
    )


# Ray Tune stores its callbacks and rules with the sweep's state and brings them back when it resumes: so these hold
# nothing that belongs to one driver, and ask for that here.
_current: Sweep | None = None


def follow(sweep: Sweep) -> None:
    """From now on this process's callbacks and rules belong to `sweep`."""
    global _current
    _current = sweep


def samples() -> int:
    """How many samples users want of this process's sweep."""
    return _current.wishes.samples if _current else 0


def take_up_samples() -> int:
    """The same for whoever makes the trials, and from now on makes so many."""
    found = samples()
    if _current:
        _current.wishes.take_up(found)
    return found


def at_once() -> int:
    """How many trials of this process's sweep run at the same time."""
    return _current.at_once if _current else 1


class Follower(Callback):  # type: ignore[misc]
    """Passes Ray Tune's events on."""

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if _current:
            _current.stepped()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if _current:
            _current.started(trial)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        if _current:
            _current.reported(trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if _current:
            _current.ended(trials, trial, _current.state(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if _current:
            _current.ended(trials, trial, TrialState.FAILED, why(trial))


class Rules(Stopper):  # type: ignore[misc]
    """When trials end though they would go on, and when the sweep does."""

    def __init__(self, tune: Tune) -> None:
        self._stop = tune.stop
        self._metric = tune.metric
        self._mode = tune.mode
        self._budget = tune.time_budget
        self._until = time.monotonic() + tune.time_budget if tune.time_budget else None
        self._samples = tune.num_samples

    def __getstate__(self) -> dict[str, Any]:
        """Tune keeps it for a driver that takes the sweep up again: then with the time that is left by the clock."""
        left = None if self._until is None else self._until - time.monotonic()
        return {**self.__dict__, "_until": left, "_kept": time.time(), "_samples": samples() or self._samples}

    def __setstate__(self, state: dict[str, Any]) -> None:
        left, passed = state["_until"], max(0.0, time.time() - state.pop("_kept"))
        self.__dict__.update(state)
        if left is not None and samples() > self._samples and self._budget:  # a sweep that has ended was extended
            left, passed = self._budget, 0.0
        self._samples = max(self._samples, samples())
        self._until = None if left is None else time.monotonic() + max(0.0, left - passed)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.holds(result) or (_current is not None and _current.is_stopped(trial_id))

    def holds(self, result: dict[str, Any]) -> bool:
        """Whether a trial with this result has done enough."""
        if "iterations" in self._stop and result.get(REPORTS, 0) >= self._stop["iterations"]:
            return True
        if "time" in self._stop and result.get("time_total_s", 0) >= self._stop["time"]:
            return True
        goal, value = self._stop.get("metric"), metrics(result).get(self._metric)
        if goal is None or value is None or not math.isfinite(value):
            return False
        return rank(value, self._mode) <= rank(goal, self._mode)

    def stop_all(self) -> bool:
        if _current and _current.hopeless:
            return True
        return self._until is not None and time.monotonic() > self._until
