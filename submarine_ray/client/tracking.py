"""`log_param`, `log_metric` and `save_model` for training code, on any rank, with Submarine's signatures."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import posixpath
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, SupportsFloat

from submarine_ray.client.spool import LEADER_VARIABLE, REPLICA_VARIABLE, SPOOL_VARIABLE, Run, Spool

# MLflow's rule for metrics and parameters (mlflow/utils/validation.py); a name it refuses would be lost later.
_KEY = re.compile(r"[/\w.\- :]{1,250}")
MAX_PARAM_LENGTH = 6000

_lock = threading.Lock()
_spool: Spool | None = None
_listener: Callable[[str, float], None] | None = None
_logged: set[str] = set()
_warned = False


def log_metric(key: str, value: float, step: int = 0) -> None:
    """Log a metric of this replica; costs microseconds: a background process sends it to MLflow in batches.

    Args:
        key: the metric's name: 1 to 250 letters, digits, `_ - . / :` and blanks.
        value: a number; numpy scalars and one-element tensors are converted.
        step: the training step.

    Raises:
        TypeError, ValueError: `value` is no number, or `key` no name.
    """
    key, value, step = checked_key(key), float(value), int(step)
    _logged.add(key)
    _write(key, value, step)
    if _listener:
        _listener(key, value)


def _write(key: str, value: float, step: int) -> None:
    spool = _spool or _open()
    if spool is None:
        print(f"[metric] {key}={value} step={step}", flush=True)
    else:
        spool.metric(key, value, step)


def log_param(key: str, value: str) -> None:
    """Log a parameter of this replica; the value becomes text. It is kept as first logged: parameters do not change.

    Raises:
        ValueError: `key` is no name, or the value is longer than 6,000 characters.
    """
    key, value = checked_key(key), str(value)
    if len(value) > MAX_PARAM_LENGTH:
        raise ValueError(f"the value of {key!r} has {len(value)} characters; at most {MAX_PARAM_LENGTH} are kept")
    spool = _spool or _open()
    if spool is None:
        print(f"[param] {key}={value}", flush=True)
    else:
        spool.param(key, value)


def record_report(metrics: Mapping[str, Any], step: int) -> None:
    """Keep what `ray.train.report` was given as metrics, but for those that the code logs itself."""
    for key, value in metrics.items():
        if key not in _logged and isinstance(value, SupportsFloat):
            with contextlib.suppress(ValueError):  # a name that MLflow does not take
                _write(checked_key(key), float(value), step)


def redirect(spool: Spool | None, listener: Callable[[str, float], None] | None) -> None:
    """Where this process logs from now on, and who hears of it: a process may run one trial after the other."""
    global _spool, _listener
    _spool, _listener = spool, listener
    _logged.clear()


@functools.lru_cache(1024)
def checked_key(key: str) -> str:
    """`key`, if it can name a metric or parameter. Raises ValueError."""
    key = str(key)
    if not _KEY.fullmatch(key) or posixpath.normpath(key) != key or key == "." or key.startswith(("/", "..")):
        raise ValueError(
            f"{key[:80]!r} cannot name a metric or parameter: use 1 to 250 letters, digits, '_', '-', '.', '/', ':' "
            "and blanks, and write it as a path in its shortest form"
        )
    return key


def get_tracking_uri() -> str | None:
    """The tracking server's URI: MLflow's, where Submarine had a database's."""
    return os.environ.get("MLFLOW_TRACKING_URI")


def set_tracking_uri(uri: str) -> None:
    """Where this process logs to, until it has logged something. Raises ValueError for anything but http or https."""
    if not uri.startswith(("http://", "https://")):
        raise ValueError(f"{uri.partition('://')[0]!r} is not http or https; metrics go to an MLflow server here")
    os.environ["MLFLOW_TRACKING_URI"] = uri


def is_leader() -> bool:
    """Whether this process is the replica that saves models: rank 0, the chief or the master."""
    return os.environ.get(LEADER_VARIABLE, "1") == "1"


def _open() -> Spool | None:
    """The spool that the runner ships; without a runner, one that a process of its own ships."""
    global _spool, _warned
    if _spool is None:
        with _lock:
            if _spool is None and SPOOL_VARIABLE in os.environ:
                _spool = Spool(Path(os.environ[SPOOL_VARIABLE]))
            elif _spool is None and Run.from_env(os.environ):
                from submarine_ray.client.ship import ShipperProcess

                path = Path(tempfile.mkdtemp(prefix="submarine-")) / "metrics.jsonl"
                _spool = Spool(path)
                atexit.register(ShipperProcess(path).close)
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
    name: str = "model",
    input_example: Any = None,
) -> None:
    """Save a model with the experiment, and register it if it is given a name.

    Every rank may call this; the leading replica (rank 0, chief or master) saves, the others return at once. Under
    TensorFlow's multi-worker strategy every rank must: reading the variables needs them all.

    Args:
        model_type: `pytorch`, `tensorflow`, `sklearn`, `xgboost` or `lightgbm`.
        model: the trained model; a DDP wrapper is taken off. Submarine's documents have both orders of these two: so
            does this.
        registered_model_name: registers the model as this name's next version.
        input_dim: shape of one batch of input, the batch first (`[1, 64]`); its first entry may be -1.
        output_dim: shape of one batch of output; compared with what the model answers, which is what is stored.
        name: what it is called among the models that the experiment saves.
        input_example: some rows of input instead of `input_dim`: an array, or a table whose columns' names and types an
            endpoint then asks for.

    Raises:
        ValueError: an unknown `model_type`, or `input_dim` missing where the format needs it.
    """
    from submarine_ray.client.save_model import save, save_along, takes_all  # heavy: MLflow, the model's framework

    if isinstance(model, str):
        model_type, model = model, model_type
    if not is_leader():
        print(
            f"[submarine] save_model: {os.environ.get(REPLICA_VARIABLE)} leaves it to the leading replica", flush=True
        )
        if takes_all(model):
            save_along(model)
        return
    save(model_type, model, registered_model_name, input_dim, output_dim, name, input_example)
