"""A train function of the user's, driven by Ray Train: checkpoints, and resuming after a worker dies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cloudpickle
import ray

from submarine_ray.client.package import FUNCTION_FILE
from submarine_ray.runner import code, environment
from submarine_ray.runner.errors import CommandFailed, InvalidLaunch
from submarine_ray.spec.launch import Launch


def run(launch: Launch) -> None:
    """Train to the end. Raises CommandFailed."""
    directory = code.prepare(launch, "driver")
    path = directory / FUNCTION_FILE
    if not path.exists():
        raise InvalidLaunch(f"the package has no {FUNCTION_FILE}")
    # Pickled by the same user who asked for this experiment, and run as such: no more trusted than its command.
    function = cloudpickle.loads(path.read_bytes())
    ray.init(log_to_driver=True, logging_level="WARNING")
    try:
        trainer(launch, function).fit()
    except Exception as failure:  # Ray Train wraps whatever the function raised
        raise CommandFailed(f"the train function failed: {_sentence(failure)}") from failure
    finally:
        ray.shutdown()


def trainer(launch: Launch, function: Any) -> Any:
    """The framework's trainer; the run's name is the experiment's, so that a retry resumes from its checkpoints."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig

    first = launch.replicas[0]
    resources = {"CPU": first.cpu or 1, **({"memory": first.memory} if first.memory else {})}
    if first.gpu:
        resources["GPU"] = first.gpu
    scaling = ScalingConfig(num_workers=len(launch.replicas), use_gpu=bool(first.gpu), resources_per_worker=resources)
    run_config = RunConfig(
        name=launch.experiment_id,
        storage_path=launch.storage_dir or str(Path.cwd()),
        failure_config=FailureConfig(max_failures=launch.max_retries, controller_failure_limit=3),
        worker_runtime_env={"env_vars": {"PYTHONUNBUFFERED": "1"}},
    )
    common: dict[str, Any] = {"scaling_config": scaling, "run_config": run_config}
    wrapped = _with_variables(launch, function)
    if launch.framework == "PyTorch":
        from ray.train.torch import TorchTrainer

        return TorchTrainer(wrapped, **common)
    if launch.framework == "TensorFlow":
        from ray.train.tensorflow import TensorflowTrainer

        return TensorflowTrainer(wrapped, **common)
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    return DataParallelTrainer(wrapped, **common)


def _with_variables(launch: Launch, function: Any) -> Any:
    """The function, with the platform's variables set in each worker before it runs."""

    def train_worker() -> Any:
        import ray.train

        rank = ray.train.get_context().get_world_rank()
        variables = environment.platform_variables(launch, rank, "") | launch.replicas[rank].env
        variables.pop("SUBMARINE_SPOOL", None)  # no runner beside this process: it ships its own metrics
        if launch.framework == "TensorFlow":
            variables.setdefault("TF_USE_LEGACY_KERAS", "1")
        os.environ.update(variables)
        return function()

    return train_worker


def _sentence(failure: BaseException) -> str:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return (lines[-1] if lines else type(failure).__name__)[:1000]
