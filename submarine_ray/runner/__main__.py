"""`python -m submarine_ray.runner`: runs one attempt, from whatever describes it.

- `--launch-file F`: what the control service has written; or SUBMARINE_TICKET, to fetch it there, once.
- `--spec F`: an experiment's spec, JSON or YAML, under plain `ray job submit`.
- `--framework F --workers N -- CMD...`: the same without a file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from submarine_ray.runner import places
from submarine_ray.runner.errors import InvalidLaunch, RunnerError
from submarine_ray.spec.launch import BEGIN_VARIABLE, TICKET_VARIABLE, Code, Launch, LaunchKind, Tracking


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, or the failing replica's own."""
    try:
        launch, is_own = _launch(_parse(arguments))
        launch = places.own(launch)
        run(launch, in_actors=is_own and bool(launch.replicas[0].gpu) and _holds_nothing())
    except RunnerError as failure:
        text = str(failure)
        print(f"[submarine] {text if 'failed' in text else f'the attempt failed: {text}'}", flush=True)
        return failure.code
    return 0


def run(launch: Launch, in_actors: bool = False) -> None:
    """Run an attempt to its end; `in_actors`: even if it is a single process. Raises RunnerError."""
    if launch.begin_url:
        from submarine_ray.runner import ledger

        ledger.begin(launch, launch.begin_url)
    # Each way in its own module, imported only when taken: `import ray` costs a single process more than it does.
    if launch.notebook:
        from submarine_ray.runner import notebook

        notebook.run(launch, launch.notebook)
    elif launch.tune:
        from submarine_ray.runner import tune

        tune.run(launch, launch.tune)
    elif launch.kind is LaunchKind.FUNCTION:
        from submarine_ray.runner import train

        train.run(launch)
    elif launch.kind is LaunchKind.COMMAND and not in_actors:
        from submarine_ray.runner import single

        single.run(launch)
    else:
        from submarine_ray.runner import gang

        gang.run(launch)


def _holds_nothing() -> bool:
    """Ray's sign of a job that named no resources; a single replica's GPUs must then be an actor's."""
    return os.environ.get("RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES") == "1"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m submarine_ray.runner", description="Run an experiment in a Ray job."
    )
    parser.add_argument("--launch-file", help=argparse.SUPPRESS)
    parser.add_argument("--spec", help="an experiment's spec, JSON or YAML")
    parser.add_argument("--framework", default="Python")
    parser.add_argument("--name", default="experiment")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cpus-per-worker", default="1")
    parser.add_argument("--gpus-per-worker", default="0")
    parser.add_argument("command", nargs="*", help="-- CMD...")
    return parser.parse_args(arguments)


def _launch(options: argparse.Namespace) -> tuple[Launch, bool]:
    """What to run; and whether it was made here, rather than by the service, which asks Ray for what it needs."""
    if options.launch_file:
        return Launch.loads(Path(options.launch_file).read_text()), False
    if TICKET_VARIABLE in os.environ:
        from submarine_ray.runner import ledger

        return ledger.fetch(os.environ.pop(BEGIN_VARIABLE, ""), os.environ.pop(TICKET_VARIABLE)), False
    return _own_launch(options), True


def _own_launch(options: argparse.Namespace) -> Launch:
    """Without a control service: the spec is checked here, by the same models."""
    import shlex
    from dataclasses import replace

    from pydantic import ValidationError

    from submarine_ray.spec.experiment import ExperimentSpec
    from submarine_ray.spec.plan import plan_launch
    from submarine_ray.spec.problems import sentence

    if options.spec:
        from submarine_ray.spec import documents

        try:
            document = documents.load(Path(options.spec).read_bytes())
        except (OSError, documents.NotYaml) as failure:
            raise InvalidLaunch(f"{options.spec} cannot be read: {failure}", 2) from failure
    elif options.command:
        resources = f"cpu={options.cpus_per_worker},nvidia.com/gpu={options.gpus_per_worker}"
        document = {
            "meta": {"name": options.name, "framework": options.framework, "cmd": shlex.join(options.command)},
            "spec": {"Worker": {"replicas": options.workers, "resources": resources}},
        }
    else:
        raise InvalidLaunch("nothing to run: give --spec FILE, or a command after --", 2)
    try:
        spec = ExperimentSpec.model_validate(document)
    except ValidationError as failure:
        raise InvalidLaunch(f"the spec is wrong: {sentence(failure.errors()[0])}", 2) from failure
    submission = os.environ.get("RAY_JOB_SUBMISSION_ID") or f"experiment-{time.time_ns() // 1_000_000}-0001"
    launch = plan_launch(spec, submission, submission, tracking=_own_tracking())
    # The job's own directory (Ray's working_dir) is where relative paths of the command lead.
    return launch if launch.code else replace(launch, code=plan_here())


def plan_here() -> Code:
    return Code("package", str(Path.cwd()))


def _own_tracking() -> Tracking | None:
    """A run in the MLflow server that the job was pointed at, if it was."""
    uri, run_id = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get("MLFLOW_RUN_ID", "")
    if not uri.startswith("http"):
        return None
    if not run_id:
        import mlflow

        run_id = mlflow.start_run().info.run_id
        mlflow.end_run("RUNNING")
    experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
    return Tracking(uri, run_id, experiment_id, os.environ.get("MLFLOW_TRACKING_TOKEN"))


if __name__ == "__main__":
    sys.exit(main())
