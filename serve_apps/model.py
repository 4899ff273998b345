"""A loaded model: in its own framework where that is faster, else as MLflow's pyfunc."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from serve_apps.protocol import Signature
from submarine_ray.client.torch_models import default_device, exports_moved_to, load_pyfunc


@dataclass(frozen=True)
class Model:
    """`predict` maps an array (batch first) or a DataFrame to predictions of as many rows."""

    kind: str
    signature: Signature
    predict: Callable[[Any], Any]

    def predict_many(self, inputs: list[Any]) -> list[Any]:
        """One call of the model for requests that arrived together, where they are plain arrays of one shape."""
        shapes = {item.shape[1:] if isinstance(item, np.ndarray) else None for item in inputs}
        if len(inputs) == 1 or shapes == {None} or len(shapes) > 1:
            return [_safely(self.predict, item) for item in inputs]
        whole = _safely(self.predict, np.concatenate(inputs))
        if isinstance(whole, Exception):
            # One request's values may have spoilt it for all: each on its own.
            return [_safely(self.predict, item) for item in inputs]
        ends = np.cumsum([len(item) for item in inputs])[:-1]
        return list(np.split(np.asarray(whole), ends))


def _safely(predict: Callable[[Any], Any], item: Any) -> Any:
    """The prediction, or what the model raised: it is its own request's answer, and the replica lives on."""
    try:
        return predict(item)
    except Exception as failure:  # noqa: BLE001 (a model is users' code)
        return failure


def load(model_uri: str) -> Model:
    """Load a model from a path or a `models:/` URI."""
    import mlflow

    path = Path(model_uri) if model_uri.startswith("/") else Path(mlflow.artifacts.download_artifacts(model_uri))
    described = yaml.safe_load((path / "MLmodel").read_text())
    flavors = described.get("flavors", {})
    if (described.get("metadata") or {}).get("legacy_keras") == "1":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # before TensorFlow is imported
    signature = Signature.from_mlmodel(described)
    if "pytorch" in flavors:
        return Model("pytorch", signature, _torch(path))
    if "tensorflow" in flavors and flavors["tensorflow"].get("model_type", "keras") == "keras":
        return Model("tensorflow", signature, _keras(path))
    return Model("pyfunc", signature, load_pyfunc(str(path)).predict)


def _torch(path: Path) -> Callable[[Any], Any]:
    import mlflow.pytorch
    import torch

    torch.set_num_threads(1)
    device = default_device()
    with exports_moved_to(device):
        model = mlflow.pytorch.load_model(str(path), device=device)

    def predict(inputs: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(inputs)).to(device)).cpu().numpy()

    return predict


def _keras(path: Path) -> Callable[[Any], Any]:
    import mlflow.tensorflow
    import tensorflow as tf

    model = mlflow.tensorflow.load_model(str(path))
    call = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
    return lambda inputs: call(tf.convert_to_tensor(inputs)).numpy()
