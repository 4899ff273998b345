"""`log_param`, `log_metric` and `save_model` for training code, on any rank, with Submarine's signatures."""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from submarine_ray.client.spool import Run, Shipper, Spool

SPOOL_VARIABLE = "SUBMARINE_SPOOL"
REPLICA_VARIABLE = "SUBMARINE_REPLICA"
LEADER_VARIABLE = "SUBMARINE_LEADER"
MLFLOW_EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_ID"

_lock = threading.Lock()
_spool: Spool | None = None
_warned = False


def log_metric(key: str, value: float, step: int = 0) -> None:
    """Log a metric of this replica; costs microseconds: a background process sends it to MLflow in batches.

    Args:
        key: the metric's name: letters, digits, `_ - . / :` and blanks.
        value: a number; numpy scalars and one-element tensors are converted.
        step: the training step.

    Raises:
        TypeError, ValueError: `value` is no number.
    """
    spool = _open()
    if spool is None:
        print(f"[metric] {key}={float(value)} step={step}", flush=True)
    else:
        spool.metric(str(key), float(value), int(step))


def log_param(key: str, value: str) -> None:
    """Log a parameter of this replica; the value becomes text."""
    spool = _open()
    if spool is None:
        print(f"[param] {key}={value}", flush=True)
    else:
        spool.param(str(key), str(value))


def run_from(env: Mapping[str, str]) -> Run | None:
    """The MLflow run that a replica's environment names."""
    uri, run_id = env.get("MLFLOW_TRACKING_URI", ""), env.get("MLFLOW_RUN_ID")
    if not uri.startswith(("http://", "https://")) or not run_id:
        return None
    return Run(
        uri=uri,
        run_id=run_id,
        mlflow_experiment_id=env.get(MLFLOW_EXPERIMENT_VARIABLE, "0"),
        experiment_id=env.get("SUBMARINE_EXPERIMENT_ID", run_id),
        replica=env.get(REPLICA_VARIABLE, "worker-0"),
        is_leader=env.get(LEADER_VARIABLE, "1") == "1",
        token=env.get("MLFLOW_TRACKING_TOKEN"),
    )


def is_leader() -> bool:
    """Whether this process is the replica that saves models: rank 0, the chief or the master."""
    return os.environ.get(LEADER_VARIABLE, "1") == "1"


def _open() -> Spool | None:
    """The spool that the runner ships; without a runner, one that a thread of this process ships."""
    global _spool, _warned
    if _spool is None:
        with _lock:
            if _spool is None and SPOOL_VARIABLE in os.environ:
                _spool = Spool(Path(os.environ[SPOOL_VARIABLE]))
            elif _spool is None and (run := run_from(os.environ)):
                path = Path(tempfile.mkdtemp(prefix="submarine-")) / "metrics.jsonl"
                _spool = Spool(path)
                atexit.register(Shipper(path, run).start().close)
            elif _spool is None and not _warned:
                _warned = True
                print(
                    "[submarine] no MLFLOW_TRACKING_URI and MLFLOW_RUN_ID: metrics are printed, not stored", flush=True
                )
    return _spool


def save_model(
    model_type: str,
    model: Any,
    registered_model_name: str | None = None,
    input_dim: list[int] | None = None,
    output_dim: list[int] | None = None,
) -> None:
    """Save a model with the experiment, and register it if it is given a name.

    Every rank may call this; the leading replica (rank 0, chief or master) saves, the others return at once.

    Args:
        model_type: `pytorch`, `tensorflow` or `sklearn`.
        model: the trained model; a DDP wrapper is taken off.
        registered_model_name: registers the model as this name's next version.
        input_dim: shape of one batch of input, the batch first (`[1, 64]`); its first entry may be -1.
        output_dim: shape of one batch of output; documents the model.

    Raises:
        ValueError: an unknown `model_type`, or `input_dim` missing where the format needs it.
    """
    from submarine_ray.client.save_model import save  # heavy: MLflow and the model's framework

    if not is_leader():
        print(
            f"[submarine] save_model: {os.environ.get(REPLICA_VARIABLE)} leaves it to the leading replica", flush=True
        )
        return
    save(model_type, model, registered_model_name, input_dim, output_dim)
