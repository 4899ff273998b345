"""The variables that each replica gets: who it is, where the others are, where to report. Pure functions.

Sources: torchrun's and TF_CONFIG's documented variables; for XGBoost those of Kubeflow's operator, as Submarine 0.8
had them, and DMLC_* as XGBoost itself reads them.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.spec.devices import NO_GPU, SHARED_GPU
from submarine_ray.spec.launch import Launch, Replica, Tracking
from submarine_ray.spec.system_metrics import SECONDS_VARIABLE
from submarine_ray.spec.tags import PARENT_TAG, STARTED_BY_TAG, run_tags

HOOK = Path(__file__).parent / "hook"
SHIM = Path(__file__).parent / "shim"
SHIM_VARIABLE = "SUBMARINE_SHIM"
# Which torch.distributed backend works here, for scripts that would rather not ask torch.cuda.
BACKEND_VARIABLE = "SUBMARINE_TORCH_BACKEND"


@dataclass(frozen=True)
class ReplicaLocation:
    """Where a replica runs, the port it was promised there, and the GPUs that Ray gave it there."""

    node_id: str
    host: str
    port: int
    gpus: tuple[str, ...] = ()


def platform_variables(launch: Launch, rank: int, spool: str) -> dict[str, str]:
    """What every replica of every framework gets."""
    replica = launch.replicas[rank]
    found = {
        "SUBMARINE_EXPERIMENT_ID": launch.experiment_id,
        "SUBMARINE_REPLICA": replica.name,
        "SUBMARINE_LEADER": "1" if rank == 0 else "0",
        "JOB_ID": launch.experiment_id,
        "JOB_NAME": launch.name,
        "PYTHONUNBUFFERED": "1",
        SECONDS_VARIABLE: f"{launch.system_metrics_seconds:g}",
        **visible_gpus(launch, replica),
    }
    if launch.tensorboard_dir:
        found["SUBMARINE_TENSORBOARD_LOG_DIR"] = launch.tensorboard_dir
    if launch.trial_id:
        found["SUBMARINE_TRIAL_ID"] = launch.trial_id
    if launch.service_url:
        found["SUBMARINE_URL"] = launch.service_url
        if launch.tracking and launch.tracking.token:
            found["SUBMARINE_TOKEN"] = launch.tracking.token
    if launch.tracking:
        found |= {"SUBMARINE_SPOOL": spool, **_tracking_variables(launch, launch.tracking, replica)}
    return found


def _tracking_variables(launch: Launch, tracking: Tracking, replica: Replica) -> dict[str, str]:
    """Where `log_metric` leads, which stays; and the same for MLflow, which a user's variables may lead elsewhere."""
    found = {
        "SUBMARINE_TRACKING_URI": tracking.uri,
        "SUBMARINE_RUN_ID": tracking.run_id,
        "SUBMARINE_TRACKING_EXPERIMENT": tracking.experiment_id,
    }
    if tracking.token:
        found |= {"SUBMARINE_TRACKING_TOKEN": tracking.token}
    if replica.env.get("MLFLOW_TRACKING_URI", tracking.uri).rstrip("/") != tracking.uri.rstrip("/"):
        return found  # a server of the user's own knows neither the run nor the token
    found |= {
        "MLFLOW_TRACKING_URI": tracking.uri,
        "MLFLOW_RUN_ID": tracking.run_id,
        "MLFLOW_EXPERIMENT_ID": tracking.experiment_id,
        "MLFLOW_RUN_CONTEXT": json.dumps(_below(launch, replica.name)),
    }
    return found | ({"MLFLOW_TRACKING_TOKEN": tracking.token} if tracking.token else {})


def visible_gpus(launch: Launch, replica: Replica) -> dict[str, str]:
    """What hides the GPUs that a replica did not ask for; those that it asked for Ray has made the only visible ones.

    A Ray script's GPUs are its tasks' and actors': the script itself holds none.
    """
    if not replica.gpu or launch.framework == "Ray":
        return dict(NO_GPU)
    return dict(SHARED_GPU) if replica.gpu < 1 else {}


def _below(launch: Launch, replica: str) -> dict[str, str]:
    """The tags by which runs that a script starts itself are found: MLflow gives them to each."""
    assert launch.tracking  # noqa: S101 (the caller has looked)
    tags = run_tags(launch.experiment_id, launch.trial_id)
    return {**tags, STARTED_BY_TAG: replica, PARENT_TAG: launch.tracking.run_id}


def rendezvous_variables(launch: Launch, rank: int, locations: Sequence[ReplicaLocation]) -> dict[str, str]:
    """How this replica finds the others."""
    if len(launch.replicas) == 1 and launch.framework not in ("PyTorch", "XGBoost"):
        return {}
    if launch.framework == "TensorFlow":
        return tf_config(launch, rank, locations)
    found = torch_variables(rank, locations)
    if launch.framework == "PyTorch":
        found[BACKEND_VARIABLE] = torch_backend(launch, locations)
    if launch.framework == "XGBoost":
        found |= xgboost_variables(rank, locations)
    return found


def torch_variables(rank: int, locations: Sequence[ReplicaLocation]) -> dict[str, str]:
    """torchrun's variables; ranks on one node are numbered from 0 in LOCAL_RANK.

    A rank with GPUs sees none but its own, so it is the only one of its node, as in a container: `cuda:LOCAL_RANK` is
    its own GPU.
    """
    here = locations[rank].node_id
    nodes = list(dict.fromkeys(location.node_id for location in locations))
    local_ranks = [other for other, location in enumerate(locations) if location.node_id == here and not location.gpus]
    if locations[rank].gpus:
        local_ranks = [rank]
    return {
        "MASTER_ADDR": locations[0].host,
        "MASTER_PORT": str(locations[0].port),
        "WORLD_SIZE": str(len(locations)),
        "RANK": str(rank),
        "LOCAL_RANK": str(local_ranks.index(rank)),
        "LOCAL_WORLD_SIZE": str(len(local_ranks)),
        "NODE_RANK": str(nodes.index(here)),
        "GROUP_RANK": str(nodes.index(here)),
    }


def torch_backend(launch: Launch, locations: Sequence[ReplicaLocation]) -> str:
    """What PyTorch's ranks can speak: NCCL takes no rank without a GPU, and no two on one."""
    return "nccl" if all(one.gpu for one in launch.replicas) and not sharing(launch, locations) else "gloo"


def sharing(launch: Launch, locations: Sequence[ReplicaLocation]) -> list[str]:
    """The names of the replicas whose GPU is another's, too."""
    users: dict[tuple[str, str], list[str]] = {}
    for replica, location in zip(launch.replicas, locations, strict=True):
        for gpu in location.gpus:
            users.setdefault((location.node_id, gpu), []).append(replica.name)
    shared = {name for names in users.values() if len(names) > 1 for name in names}
    return [replica.name for replica in launch.replicas if replica.name in shared]


def tf_config(launch: Launch, rank: int, locations: Sequence[ReplicaLocation]) -> dict[str, str]:
    """TF_CONFIG; an evaluator is a task but no part of the cluster."""
    cluster: dict[str, list[str]] = {}
    for replica, location in zip(launch.replicas, locations, strict=True):
        if replica.role != "evaluator":
            cluster.setdefault(_tf_role(replica.role), []).append(f"{location.host}:{location.port}")
    own = launch.replicas[rank]
    task = {"type": _tf_role(own.role), "index": own.index}
    return {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"}),
        # Keras 3 cannot `fit` under a multi-worker strategy (docs/decisions/0005-legacy-keras.md).
        "TF_USE_LEGACY_KERAS": "1",
    }


def _tf_role(role: str) -> str:
    return "chief" if role == "master" else role


def xgboost_variables(rank: int, locations: Sequence[ReplicaLocation]) -> dict[str, str]:
    workers = locations[1:]
    found = {
        "DMLC_TRACKER_URI": locations[0].host,
        "DMLC_TRACKER_PORT": str(locations[0].port),
        "DMLC_TASK_ID": str(rank),
        "DMLC_NUM_WORKER": str(len(locations)),
    }
    if workers:
        found |= {"WORKER_PORT": str(workers[0].port), "WORKER_ADDRS": ",".join(location.host for location in workers)}
    return found


def python_path(given: Mapping[str, str]) -> dict[str, str]:
    """Where `import submarine` leads in Submarine's users' scripts: to the real package if there is one, else here.

    The real one logs to Submarine's MySQL database; SUBMARINE_SHIM=1 among the experiment's variables prefers ours.
    Before all others: what lets MLflow scripts run as they are, where there is a run.
    """
    entries = [str(HOOK)] if "MLFLOW_RUN_ID" in given else []
    prefers_ours = given.get(SHIM_VARIABLE) == "1"
    if prefers_ours:
        entries.append(str(SHIM))
    entries.append(given.get("PYTHONPATH", ""))
    if not prefers_ours and importlib.util.find_spec("submarine") is None:
        entries.append(str(SHIM))
    found = os.pathsep.join(filter(None, entries))
    return {} if found == given.get("PYTHONPATH", "") else {"PYTHONPATH": found}


def default_threads(launch: Launch, rank: int, given: Mapping[str, str]) -> dict[str, str]:
    """OpenMP would give every replica all cores of its node."""
    if len(launch.replicas) == 1 or "OMP_NUM_THREADS" in given:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, int(launch.replicas[rank].cpu)))}
