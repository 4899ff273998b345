"""A loaded model: in its own framework where that is faster, else as MLflow's pyfunc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serve_apps import joining, requirements
from serve_apps.errors import BadRequest, CannotServe, ModelFailed
from serve_apps.parsing import Question, cut
from serve_apps.signature import Signature
from submarine_ray.client.torch_models import default_device, exports_moved_to, load_pyfunc

# Loaders whose models answer each row by itself, as far as is known: a check at the start has the last word.
_ROW_BY_ROW = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost")
# A slow prediction does not hold up the others: so many at once, as MLflow's own server does. In one framework's own
# memory, which may be a GPU's, fewer.
PYFUNC_THREADS = 8
NATIVE_THREADS = 2


@dataclass
class Model:
    """`predict` maps an array, a DataFrame, a dict of arrays or what else was asked, and parameters, to an answer."""

    kind: str
    signature: Signature
    predict: Callable[..., Any]
    threads: int = 1
    joins: bool = False
    """Requests that wait together may be one call: an answer has one row for each row asked."""
    example: bytes | None = None
    """A request that was saved with the model, which it must be able to answer."""

    def may_join(self, question: Question) -> bool:
        return self.joins and question.params is None and isinstance(question.data, np.ndarray)

    def answer(self, questions: list[Question]) -> list[Any]:
        """Answers, or what was raised instead, in the same order. One call where that changes no answer."""
        if len(questions) > 1:
            together = self._together([question.data for question in questions])
            if together is not None:
                return together
            # Answers that are no rows, or one request's values that have spoilt it for all: each on its own.
        return [self._alone(question) for question in questions]

    def _together(self, inputs: list[Any]) -> list[Any] | None:
        try:
            whole = self.predict(np.concatenate(inputs), None)
        except BaseException:  # noqa: BLE001 (a model is users' code; what it raises is told to whom it concerns)
            return None
        rows = joining.split(whole, [len(one) for one in inputs])
        self.joins = self.joins and rows is not None
        return rows

    def _alone(self, question: Question) -> Any:
        """The prediction, or what the model raised: it is its own request's answer, and the replica lives on."""
        try:
            return self.predict(question.data, question.params)
        except BaseException as failure:  # noqa: BLE001 (a model is users' code, and may call sys.exit)
            return _failed(failure)


def _failed(failure: BaseException) -> Exception:
    """What the caller is told: a bad request where MLflow found that the input does not fit, else a failed model."""
    from mlflow.exceptions import MlflowException

    if isinstance(failure, MlflowException) and failure.get_http_status_code() == 400:
        told: Exception = BadRequest(f"the model refuses the input: {cut(failure.message)}")
    else:
        name = type(failure).__name__
        told = ModelFailed(f"the model could not answer: {name}: {str(failure)[:500]}", _broken(failure))
    told.__cause__ = failure
    return told


def _broken(failure: BaseException) -> str | None:
    """Why the process cannot be trusted after it; None where the next request may succeed."""
    if not isinstance(failure, Exception):
        return f"the model raised {type(failure).__name__}"
    # Such an error of a kernel leaves a context in which every later call fails; too little memory does not.
    if type(failure).__name__ != "OutOfMemoryError" and "CUDA error" in str(failure):
        return f"the GPU's context is lost: {str(failure).splitlines()[0]}"
    return None


def load(model_uri: str) -> Model:
    """Load a model from a path or a `models:/` URI. Raises CannotServe, with the exception's own text."""
    differing: list[str] = []
    try:
        path = _fetched(model_uri)
        differing = requirements.differing(path)
        return _load(path)
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        saved_with = f". {requirements.sentence(differing)}" if differing else ""
        text = " ".join(str(failure).split())[:1000]
        what = f"The model cannot be loaded: {type(failure).__name__}: {text}{saved_with}"
        raise CannotServe(what) from failure


def _fetched(model_uri: str) -> Path:
    import mlflow

    return Path(model_uri) if model_uri.startswith("/") else Path(mlflow.artifacts.download_artifacts(model_uri))


def _load(path: Path) -> Model:
    import mlflow

    described = mlflow.models.Model.load(str(path))
    flavors, extra = described.flavors, described.metadata or {}
    if extra.get("legacy_keras") == "1":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # before TensorFlow is imported
    is_torch = "pytorch" in flavors
    is_keras = "tensorflow" in flavors and flavors["tensorflow"].get("model_type", "keras") == "keras"
    # Columns, parameters and what has no signature go through MLflow's own wrapper; it gives PyTorch one tensor only.
    declared = Signature(described)
    tensor = declared.tensor
    is_native = (tensor is not None and (is_torch or is_keras)) or (declared.takes_tensors and is_torch)
    is_native = is_native and declared.parameters is None
    signature = Signature(described, is_native)
    if is_native:
        kind, call = ("pytorch", _torch(path)) if is_torch else ("tensorflow", _keras(path))
        model = Model(kind, signature, lambda data, params=None: call(data), NATIVE_THREADS)
    else:
        model = Model("pyfunc", signature, load_pyfunc(str(path)).predict, PYFUNC_THREADS)
    model.threads = int(extra.get("serve_threads", model.threads))
    saved = described.get_serving_input(str(path))
    model.example = saved.encode() if saved else None
    can_join = is_native or flavors.get("python_function", {}).get("loader_module") in _ROW_BY_ROW
    model.joins = can_join and tensor is not None and joining.answers_by_row(model.predict, *tensor)
    return model


def _torch(path: Path) -> Callable[[Any], Any]:
    import mlflow.pytorch
    import torch

    torch.set_num_threads(1)
    device = default_device()
    with exports_moved_to(device):
        model = mlflow.pytorch.load_model(str(path), device=device)
    with contextlib.suppress(NotImplementedError):  # an exported model is in its mode for good
        model.eval()

    def tensor(array: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    def predict(inputs: Any) -> Any:
        given = inputs.values() if isinstance(inputs, dict) else [inputs]  # in the order of the signature
        with torch.inference_mode():
            return _arrays(model(*(tensor(one) for one in given)))

    return predict


def _arrays(output: Any) -> Any:
    """A module's output on the host: a tensor as an array, in dicts and lists of tensors too."""
    if hasattr(output, "detach"):
        return output.detach().cpu().numpy()
    if isinstance(output, dict):
        return {key: _arrays(value) for key, value in output.items()}
    return [_arrays(value) for value in output] if isinstance(output, (list, tuple)) else output


def _keras(path: Path) -> Callable[[Any], Any]:
    import mlflow.tensorflow
    import tensorflow as tf

    model = mlflow.tensorflow.load_model(str(path))
    call = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
    return lambda inputs: tf.nest.map_structure(lambda one: one.numpy(), call(tf.convert_to_tensor(inputs)))
