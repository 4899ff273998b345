"""`submarine.run`: a command or a function of a notebook cell, distributed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from submarine_ray.client import git_state
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.package import pack_directory, pack_function

Command = str | Sequence[str]


class ExperimentHandle:
    """An experiment that was started: wait for it, read it, stop it."""

    def __init__(self, client: ExperimentClient, id: str) -> None:
        self._client = client
        self.id = id

    @property
    def status(self) -> str:
        """The state now: Accepted, Created, Running, Succeeded or Failed."""
        return str(self._client.get_experiment(self.id)["status"])

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait at most `timeout` seconds for the end; return the experiment. Raises ExperimentFailed, TimeoutError."""
        return self._client.wait_for_finish(self.id, timeout=timeout)

    def logs(self, follow: bool = False, replica: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield (replica, line) of the log so far, or with `follow` until the end."""
        if follow:
            yield from self._client.follow_log(self.id, replica)
            return
        yield from self._client.read_log(self.id, replica)

    def metrics(self, key: str | None = None) -> list[dict[str, Any]]:
        """Return the last value of each metric, or one metric's history."""
        return self._client.metrics(self.id, key)

    def media(self, kind: str | None = None, key: str | None = None, step: int | None = None) -> list[dict[str, Any]]:
        """Return the images, figures, tables, texts, histograms and audio that it logged."""
        return self._client.media(self.id, kind, key, step)

    def stop(self) -> None:
        """Stop the experiment; it stays listed."""
        self._client.stop_experiment(self.id)

    def delete(self) -> None:
        """Stop and delete the experiment."""
        self._client.delete_experiment(self.id)

    def __repr__(self) -> str:
        return f"<experiment {self.id} on {self._client.service.host}>"


def run(
    target: Command | Callable[..., Any],
    *,
    name: str | None = None,
    workers: int = 1,
    framework: str | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    memory_per_worker: str | None = None,
    env: dict[str, str] | None = None,
    pip: Sequence[str] = (),
    working_dir: str | Path | None = None,
    max_retries: int = 0,
    cluster: str | None = None,
    image: str | None = None,
    timeout: int | None = None,
    grace_period: int | None = None,
    queue: bool = False,
    client: ExperimentClient | None = None,
) -> ExperimentHandle:
    """Start a command or a function as an experiment; returns at once.

    Args:
        target: a command, as text or a list of words: each worker runs it once, with torchrun's variables or TF_CONFIG.
            Or a function without arguments: Ray Train runs it in each worker (`ray.train.report`, checkpoints, resume).
            Modules of your own that the function imports are sent with it.
        name: the experiment's name; default: the name of the script or function.
        workers: number of processes.
        framework: PyTorch, TensorFlow, XGBoost, Python, Shell or Ray; default PyTorch for several workers, else Python.
        cpus_per_worker: CPUs of each process.
        gpus_per_worker: GPUs of each process; a part of one, such as 0.5, shares it.
        memory_per_worker: memory of each process, as `2Gi`.
        env: environment variables.
        pip: packages to install for it.
        working_dir: a directory to send; the command runs in a copy of it. Files that .gitignore or .submarineignore
            name are not sent.
        max_retries: new attempts after a failure or a lost cluster.
        cluster: where to run; default: the service's default cluster.
        image: the container image, on clusters that run containers.
        timeout: seconds after which an attempt is stopped, and has failed.
        grace_period: seconds between SIGTERM and SIGKILL when it is stopped, to save what it has; default 30.
        queue: wait for a cluster that is too small now, instead of being refused.
        client: the client of the control service; default one for the service that the environment names.

    Raises:
        ApiError, ServiceUnreachable: the service refused, or does not answer.
        TooMuch: working_dir is too large to send.
        OSError: working_dir cannot be read.
    """
    client = client or ExperimentClient()
    size = (cpus_per_worker, gpus_per_worker, memory_per_worker)
    spec = experiment_spec(client, target, name, workers, framework, *size, env, pip, working_dir)
    if image:
        spec.setdefault("environment", {})["image"] = image
    options: dict[str, Any] = {
        "maxRetries": max_retries or None, "cluster": cluster, "timeout": timeout, "gracePeriod": grace_period,
        "queue": queue or None,
    }  # fmt: skip
    spec |= {key: value for key, value in options.items() if value is not None}
    return ExperimentHandle(client, client.create_experiment(spec)["experimentId"])


def experiment_spec(
    client: ExperimentClient,
    target: Command | Callable[..., Any],
    name: str | None,
    workers: int,
    framework: str | None,
    cpus_per_worker: float,
    gpus_per_worker: float,
    memory_per_worker: str | None,
    env: dict[str, str] | None,
    pip: Sequence[str],
    working_dir: str | Path | None,
) -> dict[str, Any]:
    """The spec of what `run` was given; the code is uploaded."""
    framework = framework or ("PyTorch" if workers > 1 else "Python")
    resources = f"cpu={cpus_per_worker:g}"
    resources += f",memory={memory_per_worker}" if memory_per_worker else ""
    resources += f",nvidia.com/gpu={gpus_per_worker:g}" if gpus_per_worker else ""
    meta: dict[str, Any] = {"framework": framework, "envVars": env or {}}
    spec: dict[str, Any] = {"meta": meta, "spec": {"Worker": {"replicas": workers, "resources": resources}}}
    directory = None if working_dir is None else Path(working_dir)
    if callable(target):
        meta["name"] = name or _name(target.__name__)
        spec |= {"trainFunction": True, "code": _package(client, pack_function(target, directory, _tell), directory)}
    else:
        meta["cmd"] = target if isinstance(target, str) else shlex.join(target)
        meta["name"] = name or _name(_script(meta["cmd"]))
        if directory is not None:
            spec["code"] = _package(client, pack_directory(directory, _tell), directory)
    if pip:
        spec["environment"] = {"kernelSpec": {"pipDependencies": list(pip)}}
    return spec


def _package(client: ExperimentClient, content: bytes, directory: Path | None) -> dict[str, Any]:
    code: dict[str, Any] = {"syncMode": "package", "url": client.service.upload(content)}
    source = git_state.read(directory or Path.cwd())
    return code | ({"source": source} if source else {})


def _tell(sentence: str) -> None:
    print(f"[submarine] {sentence}", file=sys.stderr)


def _script(command: str) -> str:
    """The word of a command that tells it from others: its script, else its program."""
    words = command.split()
    scripts = [word for word in words if word.endswith((".py", ".sh"))]
    return Path((scripts or words or ["experiment"])[0]).stem


def _name(text: str) -> str:
    cleaned = "".join(c if c.isalnum() and c.isascii() else "-" for c in text).strip("-")
    return cleaned[:63].strip("-") or "experiment"
