"""Loading PyTorch models where another device is wanted than the one that they were exported on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEVICE_VARIABLE = "MLFLOW_DEFAULT_PREDICTION_DEVICE"

_loading = threading.Lock()


def load_pyfunc(uri: str) -> Any:
    """`mlflow.pyfunc.load_model`, which refuses PyTorch's exports from a CPU wherever a GPU is visible."""
    import mlflow
    import yaml

    path = Path(mlflow.artifacts.download_artifacts(uri))
    described = yaml.safe_load((path / "MLmodel").read_text())
    if "pytorch" not in described.get("flavors", {}):
        return mlflow.pyfunc.load_model(str(path))
    with exports_moved_to(os.environ.get(DEVICE_VARIABLE) or default_device()):
        return mlflow.pyfunc.load_model(str(path))


def default_device() -> str:
    """The first GPU that this process sees, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def exports_moved_to(device: str) -> Iterator[None]:
    """Exports that are loaded meanwhile, on any thread, go to `device`.

    `torch.export.load` has no `map_location`, and the module that comes of it is stuck: its `.to` leaves constants, and
    devices that the graph names, where they were. PyTorch's own pass moves the program before that.
    """
    import torch

    def moved(*arguments: Any, **options: Any) -> Any:
        from torch.export.passes import move_to_device_pass

        return move_to_device_pass(load(*arguments, **options), device)

    with _loading:
        load = torch.export.load
        torch.export.load = moved
        try:
            yield
        finally:
            torch.export.load = load


@contextmanager
def predicting_on_cpu() -> Iterator[None]:
    """MLflow tries a model once when it is saved: on the CPU, where it was exported."""
    before = os.environ.get(DEVICE_VARIABLE)
    os.environ[DEVICE_VARIABLE] = "cpu"
    try:
        yield
    finally:
        os.environ.pop(DEVICE_VARIABLE)
        if before is not None:
            os.environ[DEVICE_VARIABLE] = before
