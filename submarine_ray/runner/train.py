"""A train function of the user's, driven by Ray Train: checkpoints, and resuming after a worker dies."""

from __future__ import annotations

import itertools
import logging
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray

from submarine_ray.client import tracking
from submarine_ray.client.spool import SPOOL_VARIABLE
from submarine_ray.runner import code, environment, lines, provenance
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.function import HINT, TrainFunction, call
from submarine_ray.runner.hook import submarine_mlflow
from submarine_ray.runner.lines import LineWriter
from submarine_ray.runner.system_metrics import Sampler
from submarine_ray.spec import memory
from submarine_ray.spec.launch import Launch

# Of one GPU.
MOST_THAT_TWO_CAN_HAVE = 0.5
# Read when Ray Train is imported; its defaults print lines twice, notice the end late and start a process more.
_SETTINGS = {
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
}


def run(launch: Launch) -> None:
    """Train to the end. Raises CommandFailed."""
    set_defaults()
    workspace = code.prepare(launch, "driver")
    function = TrainFunction.read(workspace.directory)
    report = provenance.report(launch, workspace.directory)
    ray.init(log_to_driver=False, logging_level="WARNING")
    writer = LineWriter()
    writer.end_on_sigterm(launch.grace_seconds)
    try:
        trainer(launch, function, writer.sink).fit()
    except Exception as failure:  # Ray Train wraps whatever the function raised
        raise CommandFailed(sentence(launch, failure)) from failure
    finally:
        if report:
            report.close()
        writer.close()
        ray.shutdown()
        workspace.close()


def set_defaults() -> None:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def trainer(
    launch: Launch,
    function: TrainFunction,
    sink: Any,
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    callbacks: Sequence[Any] = (),
) -> Any:
    """The framework's trainer; the run's name is the experiment's, so that a retry resumes from its checkpoints."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig

    first = launch.replicas[0]
    resources = {"CPU": first.cpu or 1, **({"memory": first.memory} if first.memory else {})}
    if first.gpu:
        resources["GPU"] = first.gpu
    scaling = ScalingConfig(num_workers=len(launch.replicas), use_gpu=bool(first.gpu), resources_per_worker=resources)
    run_config = RunConfig(
        name=name or launch.experiment_id,
        callbacks=[*callbacks, end_when_out_of_memory()],
        storage_path=launch.storage_dir or str(Path.cwd()),
        failure_config=FailureConfig(max_failures=launch.max_retries, controller_failure_limit=3),
        worker_runtime_env={"env_vars": {"PYTHONUNBUFFERED": "1"}},
    )
    common: dict[str, Any] = {"scaling_config": scaling, "run_config": run_config}
    wrapped = _as_replica(launch, function, params, sink)
    if launch.framework == "PyTorch":
        from ray.train.torch import TorchConfig, TorchTrainer

        return TorchTrainer(wrapped, torch_config=TorchConfig(backend=_backend(launch)), **common)
    if launch.framework == "TensorFlow":
        from ray.train.tensorflow import TensorflowTrainer

        return TensorflowTrainer(wrapped, **common)
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    return DataParallelTrainer(wrapped, **common)


class RanOutOfMemory(Exception):
    """A worker did: to start all of them again would only repeat it. `text` is what Ray's memory monitor said."""

    def __init__(self, rank: int, text: str) -> None:
        super().__init__(rank, text)
        self.rank = rank
        self.text = text


def end_when_out_of_memory() -> Any:
    """A callback in Ray Train's controller: what it raises ends the run, whatever `max_failures` allows."""
    from ray.train import UserCallback

    class EndWhenOutOfMemory(UserCallback):  # type: ignore[misc]
        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            for rank, cause in sorted(worker_exceptions.items()):
                if memory.of_ray(str(_cause(cause))):
                    raise RanOutOfMemory(rank, str(_cause(cause)))

    return EndWhenOutOfMemory()


def _backend(launch: Launch) -> str | None:
    """None: Ray's own choice, which is NCCL wherever there are GPUs; but two workers on one GPU cannot use it."""
    may_share = len(launch.replicas) > 1 and 0 < launch.replicas[0].gpu <= MOST_THAT_TWO_CAN_HAVE
    if not may_share:
        return None
    print("[submarine] workers may share a GPU, and NCCL takes no two ranks on one: they use gloo", flush=True)
    return "gloo"


def _as_replica(launch: Launch, function: TrainFunction, params: Mapping[str, Any] | None, sink: Any) -> Any:
    """The function as each worker runs it: with the platform's variables, its output under its replica's name."""

    prefix = f"trial-{launch.trial_id}-" if launch.trial_id else ""

    def train_worker() -> Any:
        import ray.train

        rank = ray.train.get_context().get_world_rank()
        replica = launch.replicas[rank]
        variables = environment.platform_variables(launch, rank, "") | replica.env
        variables.pop(SPOOL_VARIABLE, None)  # no runner beside this process: it ships its own metrics
        if launch.framework == "TensorFlow":
            variables.setdefault("TF_USE_LEGACY_KERAS", "1")
        os.environ.update(variables)
        submarine_mlflow.install()
        name = prefix + replica.name
        _record_reports(lambda: lines.leave_if_ending(sink, name))
        logging.getLogger("ray.train").setLevel(logging.WARNING)  # it would write a line for each report
        ray.get(sink.begin.remote(name))
        with lines.captured(lambda written: sink.put.remote(name, written)):
            sampler = Sampler(os.getpid(), os.environ, str(Path.cwd()), tracking.log_metric, print)
            try:
                if launch.trial_id is None:  # a trial's metrics are its scheduler's, too
                    sampler.start()
                # Loaded here, and not by Ray: only now can this process import what it needs.
                loaded = function.load()
                return loaded() if params is None else call(loaded, params)
            except BaseException:
                traceback.print_exc()  # where the user looks for it: in the replica's own log
                raise
            finally:
                sampler.stop()
                tracking.flush()  # here, so that what could not be stored is said in the replica's log
                ray.get(sink.leave.remote(name))

    return train_worker


def _record_reports(then: Callable[[], None]) -> None:
    """What this worker gives `ray.train.report` becomes metrics of its replica, too; after each, do `then`.

    Source: TrainFnUtils, which Ray Train documents as the place to patch for other behaviours.
    """
    from ray.train.v2._internal.execution.train_fn_utils import get_train_fn_utils

    utils = get_train_fn_utils()
    report, count = utils.report, itertools.count(1)

    def recorded(metrics: dict[str, Any], *arguments: Any, **options: Any) -> None:
        tracking.record_report(metrics, next(count))
        report(metrics, *arguments, **options)
        then()

    utils.report = recorded


def sentence(launch: Launch, failure: BaseException) -> str:
    """Which worker failed and why, where Ray Train knows it."""
    ended = getattr(failure, "controller_failure", None)
    if isinstance(ended, RanOutOfMemory):
        return f"{launch.replicas[ended.rank].name} failed: {memory.of_ray(ended.text)}"
    for rank, cause in sorted(getattr(failure, "worker_failures", {}).items()):
        cause = _cause(cause)
        if lacking := memory.of_ray(str(cause)):
            return f"{launch.replicas[rank].name} failed: {lacking}"
        hint = f"; {HINT}" if isinstance(cause, ModuleNotFoundError) else ""
        return f"{launch.replicas[rank].name} failed: {type(cause).__name__}: {_last_line(cause)}{hint}"
    return f"the train function failed: {memory.of_ray(str(failure)) or _last_line(failure)}"


def _cause(failure: BaseException) -> BaseException:
    """What the user's code raised, where Ray Train has wrapped it."""
    return getattr(failure, "_base_exc", failure)


def _last_line(failure: BaseException) -> str:
    said = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return (said[-1] if said else "no message")[:1000]
