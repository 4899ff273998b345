"""What a trial does: a command on one replica or on a gang of them, or a function. Each gives report after report."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import ray

from submarine_ray.client import tracking
from submarine_ray.client.shipper import Shipper
from submarine_ray.client.spool import SPOOL_VARIABLE, Run, Spool
from submarine_ray.runner import environment, lines
from submarine_ray.runner.errors import CommandFailed, RunnerError
from submarine_ray.runner.function import TrainFunction, call
from submarine_ray.runner.gang import Gang, ReplicaActor
from submarine_ray.spec import passing, space
from submarine_ray.spec.endings import Ending
from submarine_ray.spec.launch import Launch

CHECKPOINT_VARIABLE = "SUBMARINE_CHECKPOINT_DIR"
PARAMS_VARIABLE = "SUBMARINE_TRIAL_PARAMS"
Metrics = list[tuple[str, float]]
Write = Callable[[str, list[str]], Any]
Put = Callable[[list[str]], Any]


class Reports:
    """Gathers metrics into reports: one each time that the sweep's metric is logged, with all others as they are."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self.count = 0
        self.last: dict[str, float] = {}
        self._is_new = False

    def add(self, metrics: Metrics) -> None:
        for key, value in metrics:
            self.last[key] = value
            if key == self._metric:
                self.count += 1
                self._is_new = True

    def take(self) -> dict[str, float] | None:
        """The newest report, if there is one since the last call: a fast script is not held up by the scheduler."""
        if not self._is_new:
            return None
        self._is_new = False
        return dict(self.last)


class Work(Protocol):
    """One try of a trial. `checkpoint` is the directory that holds what the trial would go on from."""

    checkpoint: Path | None

    def next(self) -> dict[str, float] | None:
        """The next report; None once the work has ended well. Raises RunnerError."""

    def stop(self) -> bool:
        """End it; whether it has ended, so that this process can do other work."""

    def ask_to_end(self) -> None:
        """Have its processes end, from another thread than that which waits for `next`."""


class CommandWork:
    """The experiment's own command, unmodified: what it logs are the reports."""

    def __init__(self, launch: Launch, reports: Reports, write: Write, checkpoint: Path) -> None:
        self.checkpoint: Path | None = checkpoint
        self._reports = reports
        self._replica = ReplicaActor() if len(launch.replicas) == 1 else None
        self._gang = None if self._replica else Gang(launch, ray.util.get_current_placement_group(), write)
        self._rounds = _rounds(self._replica, launch, write) if self._replica else self._gang.rounds()  # type: ignore[union-attr]
        self._has_begun = False

    def next(self) -> dict[str, float] | None:
        self._has_begun = True
        for metrics in self._rounds:
            self._reports.add(metrics)
            if report := self._reports.take():
                return report
        return None

    def stop(self) -> bool:
        if not self._has_begun:
            return True
        self.ask_to_end()
        with contextlib.suppress(RunnerError):  # that it was stopped
            for _ in self._rounds:
                pass
        return True

    def ask_to_end(self) -> None:
        if self._replica:
            self._replica.stop()
        elif self._gang:
            self._gang.stop()


def _rounds(replica: ReplicaActor, launch: Launch, write: Write) -> Iterator[Metrics]:
    """A single replica's metrics, in this process, until it has ended. Raises CommandFailed."""
    name = launch.replicas[0].name
    ending = Ending()
    replica.start(launch, 0, [replica.location()])
    while True:
        given = replica.hand_over()
        if given.lines:
            write(name, given.lines)
            ending.hear(given.lines)
        yield given.metrics
        if given.status:
            raise CommandFailed(ending.why(given.status), given.status)
        if given.status is not None:
            return


class Stopped(SystemExit):
    """Ends a train function at the report after which its trial was stopped."""


class FunctionWork:
    """A train function in this process, on a thread; it waits at each report until the scheduler lets it go on."""

    def __init__(
        self, launch: Launch, reports: Reports, function: TrainFunction, params: Mapping[str, Any], put: Put
    ) -> None:
        root = Path(launch.work_dir) if launch.work_dir else passing.directory("trial")
        self.checkpoint: Path | None = root / "checkpoint"
        self._put = put
        self._launch = launch
        self._reports = reports
        self._function = function
        self._params = params
        self._spool = root / "metrics.jsonl"
        self._offered: dict[str, float] | None = None
        self._changed = threading.Condition()
        self._is_stopped = False
        self._has_ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="trial", daemon=True)

    def next(self) -> dict[str, float] | None:
        with self._changed:
            self._offered = None
            self._changed.notify_all()
            if self._thread.ident is None:
                self._thread.start()
            self._changed.wait_for(lambda: self._offered is not None or self._has_ended)
            offered = self._report()
        if offered is None:
            _raise(self._failure)
        return offered

    def stop(self) -> bool:
        with self._changed:
            self._is_stopped = True
            self._offered = None
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(self._launch.grace_seconds)
        return not self._thread.is_alive()

    def ask_to_end(self) -> None:
        """At its next report, which is handed over as any other, and does not return."""

    def _report(self) -> dict[str, float] | None:
        return self._offered

    def heard(self, key: str, value: float) -> None:
        """What `log_metric` was given."""
        self._reports.add([(key, value)])
        self._offer()

    def report(self, metrics: Mapping[str, Any], checkpoint: Any = None) -> None:
        """What `ray.train.report` was given; the checkpoint's directory must last until this returns."""
        numbers = tracking.record_report(metrics, self._reports.count)
        if checkpoint is not None:
            with checkpoint.as_directory() as directory:
                kept = Path(tempfile.mkdtemp(dir=self._spool.parent))
                shutil.copytree(directory, kept, dirs_exist_ok=True)
            self.checkpoint = kept
        self._reports.add(numbers)
        self._offer()

    def _offer(self) -> None:
        """Hand over a report, and wait for what the scheduler says. Raises Stopped."""
        report = self._reports.take()
        if report is None:
            return
        with self._changed:
            self._offered = report
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._offered is None)
        if self._is_stopped:
            raise Stopped

    def _work(self) -> None:
        run = Run.from_env(os.environ)
        shipper = Shipper(self._spool, run).start() if run else None
        spool = Spool(self._spool)
        tracking.redirect(spool, self.heard)
        _pretend_to_be_a_worker(self)
        try:
            with lines.captured(self._put):
                self._call()
        except Stopped:
            pass
        except BaseException as failure:  # noqa: BLE001 (the user's code: whatever it raises is the trial's end)
            self._failure = failure
        finally:
            tracking.redirect(None, None)
            spool.close()
            if shipper:
                shipper.close()
            _leave_mlflow()
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _call(self) -> None:
        try:
            call(self._function.load(), self._params)
        except Stopped:
            raise
        except BaseException:
            traceback.print_exc()  # where the user looks for it: in the trial's own log
            raise


def _raise(failure: BaseException | None) -> None:
    """Raises what a thread ended with, if that was a failure."""
    if failure is not None:
        raise failure


def _pretend_to_be_a_worker(work: FunctionWork) -> None:
    """`ray.train`'s functions work as in a worker group of one.

    Source: TrainFnUtils, which Ray Train documents as the place to patch for other behaviours.
    """
    from ray.train import Checkpoint
    from ray.train.v2._internal.execution.train_fn_utils import LocalTrainFnUtils, set_train_fn_utils

    class TrialFnUtils(LocalTrainFnUtils):  # type: ignore[misc]
        def report(self, metrics: dict[str, Any], checkpoint: Any = None, *_: Any, **__: Any) -> None:
            work.report(metrics, checkpoint)

        def get_checkpoint(self) -> Any:
            kept = work.checkpoint
            return Checkpoint.from_directory(str(kept)) if kept and any(kept.iterdir()) else None

    set_train_fn_utils(TrialFnUtils(work._launch.experiment_id))


def _leave_mlflow() -> None:
    """The process may run another trial, which must not go on in this one's run; the platform ends the run."""
    if "mlflow" in sys.modules:
        import mlflow

        while mlflow.active_run():
            mlflow.end_run("RUNNING")


class GroupWork:
    """A train function on several workers: Ray Train's own worker group, started by this trial."""

    def __init__(
        self, launch: Launch, reports: Reports, function: TrainFunction, params: Mapping[str, Any], sink: Any
    ) -> None:
        from ray.util.queue import Queue

        self.checkpoint: Path | None = None
        self._reports = reports
        self._queue = Queue(actor_options={"num_cpus": 0})
        self._failure: BaseException | None = None
        self._launch = launch
        self._function = function
        self._params = params
        self._sink = sink
        self._thread = threading.Thread(target=self._work, name="trial", daemon=True)

    def next(self) -> dict[str, float] | None:
        if self._thread.ident is None:
            self._thread.start()
        while True:
            ended = not self._thread.is_alive()  # before the queue: what was put before the end is taken
            for metrics in self._queue.get_nowait_batch(self._queue.qsize()):
                self._reports.add(metrics)
            if report := self._reports.take():
                return report
            if ended:
                _raise(self._failure)
                return None
            self._thread.join(0.1)

    def stop(self) -> bool:
        return not self._thread.is_alive()  # Ray ends the group with the process that owns it

    def ask_to_end(self) -> None:
        """Its workers hear it themselves."""

    def _work(self) -> None:
        from submarine_ray.runner import train

        try:
            name = f"{self._launch.experiment_id}-{self._launch.trial_id}"
            train.set_defaults()
            callbacks = [_to_queue(self._queue)]
            train.trainer(self._launch, self._function, self._sink, self._params, name, callbacks).fit()
        except Exception as failure:  # noqa: BLE001 (Ray Train wraps whatever the function raised)
            self._failure = CommandFailed(train.sentence(self._launch, failure))


def _to_queue(queue: Any) -> Any:
    """A callback in Ray Train's controller that passes rank 0's reports on."""
    from ray.train import UserCallback

    class ToQueue(UserCallback):  # type: ignore[misc]
        def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
            queue.put(tracking.numbers(metrics[0]))

    return ToQueue()


def trial_launch(launch: Launch, params: Mapping[str, Any], trial_id: str, run_id: str | None, root: Path) -> Launch:
    """The experiment's launch as this trial runs it: with its parameters, its run and its directory."""
    document = json.dumps(params)
    own = {PARAMS_VARIABLE: document, CHECKPOINT_VARIABLE: str(root / "checkpoint")}

    def filled(replica: Any) -> Any:
        env = {name: space.fill(value, params) for name, value in replica.env.items()}
        command = "" if launch.function else space.fill_command(replica.command, params, replica.shell)
        return replace(replica, command=command, env={**own, **env})

    return replace(
        launch,
        trial_id=trial_id,
        tune=None,
        replicas=tuple(filled(replica) for replica in launch.replicas),
        work_dir=str(root),
        keep_work=False,
        max_retries=0,  # Ray Tune begins a failed trial again
        tensorboard_dir=f"{launch.tensorboard_dir}/{trial_id}" if launch.tensorboard_dir else None,
        tracking=replace(launch.tracking, run_id=run_id) if launch.tracking and run_id else launch.tracking,
    )


def function_variables(launch: Launch) -> dict[str, str]:
    """What a function's process has in its environment."""
    replica = launch.replicas[0]
    found = environment.platform_variables(launch, 0, "") | replica.env
    found.pop(SPOOL_VARIABLE, None)
    return found
