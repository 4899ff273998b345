"""Saving a model with MLflow, in formats that load without the training script."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from tempfile import TemporaryDirectory
from typing import Any

from submarine_ray.client.spool import TRIAL_VARIABLE
from submarine_ray.spec.tags import EXPERIMENT_TAG, MODEL_ID_TAG, MODEL_TYPE_TAG, SAVED_MODEL_TAGS

EXAMPLE_ROWS = 2  # one row would be exported as a fixed batch of one

_PACKAGES = {
    "pytorch": ("torch", "numpy"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-keras", "numpy"),
    "sklearn": ("scikit-learn", "numpy", "pandas"),
    "xgboost": ("xgboost", "xgboost-cpu", "numpy", "pandas"),
    "lightgbm": ("lightgbm", "numpy", "pandas"),
}


def save(
    model_type: str,
    model: Any,
    registered_model_name: str | None,
    input_dim: list[int] | None,
    output_dim: list[int] | None,
    name: str = "model",
    input_example: Any = None,
) -> None:
    """See `submarine_ray.save_model`."""
    kind = model_type.lower()
    if kind not in _PACKAGES:
        raise ValueError(f"model_type {model_type!r} is not known; use {', '.join(_PACKAGES)}")
    if input_dim is None and input_example is None and kind == "pytorch":
        raise ValueError("a pytorch model needs input_dim, the shape of a batch of input, for example [1, 64]")
    import mlflow
    import numpy as np

    example = input_example
    if example is None and input_dim:
        example = np.zeros([EXAMPLE_ROWS, *input_dim[1:]], dtype=np.float32)
    common: dict[str, Any] = {
        "name": name,
        "pip_requirements": _requirements(kind),  # inferring them imports everything, for many seconds
        "metadata": {"submarine_model_type": kind, "legacy_keras": os.environ.get("TF_USE_LEGACY_KERAS", "0")},
    }
    with _run():
        save_as = {
            "pytorch": _torch,
            "tensorflow": _tensorflow,
            "sklearn": _sklearn,
            "xgboost": _xgboost,
            "lightgbm": _lightgbm,
        }[kind]
        info = save_as(mlflow, model, example, output_dim, common)
        if os.environ.get(TRIAL_VARIABLE):
            # Which trial is the best is known at the end of the sweep: its model alone is registered.
            mlflow.set_tags(Saved(info.model_uri, info.model_id or "", kind, registered_model_name or "").tags())
        elif registered_model_name:
            register(Saved(info.model_uri, info.model_id or "", kind, registered_model_name))


def takes_all(model: Any) -> bool:
    """Whether saving reads variables that all workers hold together: those that leave it out make it fail."""
    strategy = type(getattr(model, "distribute_strategy", None)).__name__
    return strategy.startswith(("CollectiveAllReduce", "MultiWorkerMirrored"))


def save_along(model: Any) -> None:
    """Do the leader's share of saving, and throw the result away.

    Source: TensorFlow's "Multi-worker training with Keras", Model saving and loading.
    """
    import mlflow

    with TemporaryDirectory() as directory:
        mlflow.tensorflow.save_model(model, f"{directory}/model", pip_requirements=[])


def _run() -> Any:
    """The experiment's run, left as it is at the end: the platform ends it."""
    import contextlib

    import mlflow

    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id is None and os.environ.get("MLFLOW_TRACKING_URI") == os.environ.get("SUBMARINE_TRACKING_URI"):
        run_id = os.environ.get("SUBMARINE_RUN_ID")  # MLflow takes its own away once the run has begun
    if mlflow.active_run() or not run_id:
        return contextlib.nullcontext() if mlflow.active_run() else mlflow.start_run()
    mlflow.start_run(run_id=run_id)
    return contextlib.nullcontext()


def _torch(mlflow: Any, model: Any, example: Any, output_dim: list[int] | None, common: dict[str, Any]) -> Any:
    import copy

    import torch

    from submarine_ray.client.torch_models import predicting_on_cpu

    bare = getattr(model, "module", model) if type(model).__name__ == "DistributedDataParallel" else model
    bare = copy.deepcopy(bare).to("cpu").eval()  # the caller's may go on training, where and as it was
    with torch.inference_mode():
        output = bare(torch.from_numpy(example)).numpy()
    signature = _signature(mlflow, example, output, output_dim)
    # MLflow's pt2 format runs no code when it is loaded, and needs no class from the training script.
    with predicting_on_cpu():
        return mlflow.pytorch.log_model(bare, input_example=example, signature=signature, **common)


def _tensorflow(mlflow: Any, model: Any, example: Any, output_dim: list[int] | None, common: dict[str, Any]) -> Any:
    signature = None
    if example is not None:
        signature = _signature(mlflow, example, model(example, training=False).numpy(), output_dim)
    return mlflow.tensorflow.log_model(model, signature=signature, **common)


def _sklearn(mlflow: Any, model: Any, example: Any, output_dim: list[int] | None, common: dict[str, Any]) -> Any:
    from submarine_ray.client import sklearn_models

    signature = None
    if example is not None:
        signature = _signature(mlflow, example, model.predict(example), output_dim)
    with sklearn_models.as_it_can_be_loaded(model) as arguments:
        return mlflow.sklearn.log_model(model, signature=signature, **arguments, **common)


def _xgboost(mlflow: Any, model: Any, example: Any, output_dim: list[int] | None, common: dict[str, Any]) -> Any:
    import xgboost

    is_booster = isinstance(model, xgboost.Booster)
    signature = None
    if example is not None:
        output = model.predict(xgboost.DMatrix(example) if is_booster else example)
        signature = _signature(mlflow, example, output, output_dim)
    return mlflow.xgboost.log_model(model, signature=signature, model_format="json", **common)


def _lightgbm(mlflow: Any, model: Any, example: Any, output_dim: list[int] | None, common: dict[str, Any]) -> Any:
    signature = None
    if example is not None:
        signature = _signature(mlflow, example, model.predict(example), output_dim)
    return mlflow.lightgbm.log_model(model, signature=signature, **common)


def _signature(mlflow: Any, example: Any, output: Any, output_dim: list[int] | None) -> Any:
    """The shapes with a free batch dimension, as the model really has them."""
    if output_dim and list(output.shape[1:]) != list(output_dim[1:]):
        answers = [-1, *output.shape[1:]]
        print(f"[submarine] save_model: output_dim is {output_dim}, but the model answers {answers}", flush=True)
    return mlflow.models.infer_signature(example, output)


@dataclass(frozen=True)
class Saved:
    """A model as MLflow keeps it, and the name that it is to be registered under."""

    uri: str
    id: str
    kind: str
    name: str

    def tags(self) -> dict[str, str]:
        """How a trial's run remembers it."""
        return {f"{SAVED_MODEL_TAGS}{key}": value for key, value in vars(self).items()}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Saved | None:
        """None if the run has saved no model."""
        if f"{SAVED_MODEL_TAGS}uri" not in tags:
            return None
        return cls(*(tags.get(f"{SAVED_MODEL_TAGS}{key}", "") for key in ("uri", "id", "kind", "name")))


def register(saved: Saved, lineage: Mapping[str, str] | None = None) -> str:
    """Register it as its name's next version, with tags that lead back to where it came from; the version."""
    import mlflow

    tags = {
        EXPERIMENT_TAG: os.environ.get("SUBMARINE_EXPERIMENT_ID", ""),
        MODEL_TYPE_TAG: saved.kind,
        MODEL_ID_TAG: saved.id,
        **(lineage or {}),
    }
    registered = mlflow.register_model(saved.uri, saved.name, await_registration_for=30, tags=tags)
    print(f"[submarine] saved model {saved.name} version {registered.version}", flush=True)
    return str(registered.version)


def _requirements(kind: str) -> list[str]:
    found = []
    for package in _PACKAGES[kind]:
        try:
            found.append(f"{package}=={version(package).split('+')[0]}")
        except PackageNotFoundError:
            continue
    return found
