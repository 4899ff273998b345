"""`log_param`, `log_metric` and `save_model` for training code, on any rank, with Submarine's signatures."""

from __future__ import annotations

import atexit
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submarine_ray.client.spool import LEADER_VARIABLE, REPLICA_VARIABLE, SPOOL_VARIABLE, Run, Spool
from submarine_ray.spec.records import Metric, Param, checked_number, shown

if TYPE_CHECKING:
    from submarine_ray.client.ship import ShipperProcess
    from submarine_ray.spec.spool.media import MediaItem

_lock = threading.Lock()
_spool: Spool | None = None
_shipper: ShipperProcess | None = None
_listener: Callable[[str, float], None] | None = None
_logged: set[str] = set()
_params: dict[str, str] = {}
_left_out: set[str] = set()
_warned = False


def log_metric(key: str, value: float, step: int | None = 0) -> None:
    """Log a metric of this replica; costs microseconds: a background process sends it to MLflow in batches.

    Args:
        key: the metric's name: 1 to 250 letters, digits, `_ - . / :` and blanks.
        value: a number, NaN and the infinities among them; arrays and tensors of one element are converted.
        step: the training step, a whole number of 64 bits; None is 0.

    Raises:
        TypeError, ValueError: `value` is not one number, `step` no whole one, or `key` no name. Nothing is logged then.
    """
    metric = Metric.checked(key, value, step)
    _logged.add(metric.key)
    _write(metric)
    if _listener:
        _listener(metric.key, metric.value)


def _write(record: Metric | Param) -> None:
    spool = _spool or _open()
    if spool is not None:
        spool.write(record)
    elif isinstance(record, Metric):
        print(f"[metric] {record.key}={record.value} step={record.step}", flush=True)
    else:
        print(f"[param] {record.key}={record.value}", flush=True)


def put_media(item: MediaItem) -> None:
    """Queue an image, a table or the like of this replica. Raises OSError: the disk is full."""
    spool = _spool or _open()
    if spool is not None:
        from submarine_ray.client import media_queue  # late: most scripts log none

        media_queue.put(spool.media, item)
    else:
        header = item.header
        print(f"[{header.kind}] {header.key} step={header.step} ({header.size:,} bytes)", flush=True)


def log_param(key: str, value: str) -> None:
    """Log a parameter of this replica; the value becomes text. Parameters do not change: log what does as a metric.

    Raises:
        ValueError: `key` is no name, the value is longer than 6,000 characters or no Unicode text, or `key` has another
            value already. Nothing is logged then.
    """
    param = Param.checked(key, value)
    if _params.setdefault(param.key, param.value) != param.value:
        raise ValueError(
            f"parameter {param.key!r}: it is {shown(_params[param.key])} already, and cannot become "
            f"{shown(param.value)}: parameters do not change. Log what changes as a metric, or under another name"
        )
    _write(param)


def record_report(metrics: Mapping[str, Any], step: int) -> list[tuple[str, float]]:
    """Keep the numbers that `ray.train.report` was given as metrics, but for those that the code logs itself; all of
    them. A name that MLflow does not take is said, once.
    """
    found = numbers(metrics)
    for key, value in found:
        if key in _logged:
            continue
        try:
            metric = Metric.checked(key, value, step)
        except ValueError as failure:
            if key not in _left_out:
                _left_out.add(key)
                print(f"[submarine] a reported value is not stored: {failure}", flush=True)
            continue
        _write(metric)
    return found


def numbers(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The numbers among some values: what `ray.train.report` is given may hold texts and lists, too."""
    found = []
    for key, value in metrics.items():
        if isinstance(value, str | bytes):
            continue
        try:
            found.append((str(key), checked_number(value, key)))
        except (TypeError, ValueError):
            continue
    return found


def flush() -> None:
    """Wait until all that this process has logged is stored, if it ships by itself; what was not is printed."""
    global _spool, _shipper
    with _lock:
        if _shipper is not None:
            shipper, _spool, _shipper = _shipper, None, None
            shipper.close()


def redirect(spool: Spool | None, listener: Callable[[str, float], None] | None) -> None:
    """Where this process logs from now on, and who hears of it: a process may run one trial after the other."""
    global _spool, _listener
    _spool, _listener = spool, listener
    _logged.clear()
    _params.clear()


def get_tracking_uri() -> str | None:
    """Return the URI of the MLflow tracking server (in Submarine, of a database)."""
    return os.environ.get("MLFLOW_TRACKING_URI")


def set_tracking_uri(uri: str) -> None:
    """Where this process logs to outside of an experiment, until it has logged something.

    Raises ValueError for anything but http or https.
    """
    if not uri.startswith(("http://", "https://")):
        raise ValueError(f"{uri.partition('://')[0]!r} is not http or https; metrics go to an MLflow server here")
    os.environ["MLFLOW_TRACKING_URI"] = uri


def is_leader() -> bool:
    """Whether this process is the replica that saves models: rank 0, the chief or the master."""
    return os.environ.get(LEADER_VARIABLE, "1") == "1"


def _open() -> Spool | None:
    """The spool that the runner ships; without a runner, one that a process of its own ships."""
    global _spool, _shipper, _warned
    if _spool is None:
        with _lock:
            if _spool is None and SPOOL_VARIABLE in os.environ:
                _spool = Spool(Path(os.environ[SPOOL_VARIABLE]))
            elif _spool is None and Run.from_env(os.environ):
                from submarine_ray.client.ship import ShipperProcess

                path = Path(tempfile.mkdtemp(prefix="submarine-")) / "metrics.jsonl"
                _spool, _shipper = Spool(path), ShipperProcess(path)
                atexit.register(flush)
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
        model: the trained model; a DDP wrapper is removed. `model_type` and `model` may be given in either order, as in
            Submarine's documents.
        registered_model_name: registers the model as this name's next version.
        input_dim: shape of one batch of input, the batch first (`[1, 64]`); its first entry may be -1.
        output_dim: shape of one batch of output; it is compared with the model's real output, whose shape is stored.
        name: the model's name among the models that the experiment saves.
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
