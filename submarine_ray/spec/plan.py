"""From an experiment's spec to the launch of one attempt; used by the service and by the runner on its own."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel

from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.launch import Code, Launch, Replica, Scheduler, Stop, Tracking, Tune
from submarine_ray.spec.system_metrics import DEFAULT_SECONDS
from submarine_ray.spec.tune import TuneSpec

# Rank order: the replica that leads comes first. Chief, master and ps come before worker in Submarine's logs too.
_RANK_ORDER = ("Chief", "Master", "Worker", "Ps", "Evaluator")


def plan_replicas(spec: ExperimentSpec) -> tuple[Replica, ...]:
    """Every replica in rank order, with its own command, variables and resources.

    A role's `cmd` replaces the experiment's; its `envVars` are merged over them (Submarine 0.8.0 dropped the
    experiment's, which its users counted as a bug).
    """
    replicas: list[Replica] = []
    for role in (role for role in _RANK_ORDER if role in spec.spec):
        task = spec.spec[role]
        asked = task.quantities
        replicas.extend(
            Replica(
                role=role.lower(),
                index=index,
                command=task.cmd or spec.meta.cmd or "",
                shell=spec.meta.framework == "Shell",
                env={**spec.meta.env_vars, **(task.env_vars or {})},
                cpu=asked.cpu,
                memory=asked.memory,
                gpu=asked.gpu,
            )
            for index in range(task.replicas)
        )
    return tuple(replicas)


def plan_code(spec: ExperimentSpec) -> Code | None:
    """Where the runner fetches the code from."""
    code = spec.code
    if code is None:
        return None
    if code.git is not None and code.sync_mode == "git":
        git = code.git
        branch = f"refs/heads/{git.branch}" if git.branch else None
        return Code("git", git.url, git.ref or branch, git.username, git.password, not git.trust_certs)
    return Code(code.sync_mode, code.url or "")


def plan_tune(tune: TuneSpec, at_once: int) -> Tune:
    """The sweep, with `at_once` trials at the same time."""
    return Tune(
        search_space=tune.search_space,
        metric=tune.metric,
        mode=tune.mode,
        num_samples=tune.num_samples,
        max_concurrent=at_once,
        algorithm=tune.algorithm,
        scheduler=cast(Scheduler, _given(tune.scheduler)),
        stop=cast(Stop, _given(tune.stop)),
        time_budget=tune.time_budget,
        seed=tune.seed,
        max_failures=tune.max_failures,
        register_best=tune.register_best,
    )


def _given(model: BaseModel | None) -> dict[str, object]:
    return model.model_dump(exclude_none=True) if model else {}


def plan_launch(
    spec: ExperimentSpec,
    experiment_id: str,
    submission_id: str,
    *,
    tracking: Tracking | None = None,
    service_url: str | None = None,
    at_once: int = 1,
    system_metrics_seconds: float = DEFAULT_SECONDS,
) -> Launch:
    """The launch of one attempt; directories are left to the cluster's driver, which knows the disks."""
    return Launch(
        experiment_id=experiment_id,
        submission_id=submission_id,
        name=spec.meta.name,
        framework=spec.meta.framework,
        replicas=plan_replicas(spec),
        code=plan_code(spec),
        function=bool(spec.train_function),
        max_retries=spec.retries,
        tracking=tracking,
        service_url=service_url,
        tune=plan_tune(spec.tune, at_once) if spec.tune else None,
        grace_seconds=spec.grace,
        system_metrics_seconds=system_metrics_seconds,
    )
