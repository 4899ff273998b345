"""Models of many kinds, saved as users save them, and two servers for each: ours and MLflow's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import numpy as np
import pandas as pd
from fastapi.testclient import TestClient
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import scoring_server
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, DataType, Map, Object, Property

from serve_apps.model import load
from serve_apps.server import ModelServer

Save = Callable[[str], None]
Result = TypeVar("Result")
KINDS = ("datetime", "double", "float", "long", "integer", "boolean", "string", "binary")


class Echo(mlflow.pyfunc.PythonModel):
    """Answers with what it was given, as text: any altered value shows."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # a hint would be a signature
        if isinstance(model_input, pd.DataFrame):
            kinds = [f"{name}:{dtype}" for name, dtype in model_input.dtypes.items()]
            return [kinds, *([repr(value) for value in row] for row in model_input.to_numpy().tolist()), [str(params)]]
        if isinstance(model_input, dict):
            return [
                f"{name}:{np.asarray(value).dtype}:{np.asarray(value).tolist()}" for name, value in model_input.items()
            ]
        return [str(np.asarray(model_input).dtype), str(np.asarray(model_input).tolist())]


class Answers(mlflow.pyfunc.PythonModel):
    """Answers with the result that `code` makes of the input `x`; the number that it gives picks nothing else."""

    def __init__(self, code: str) -> None:
        self.code = code

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # a hint would be a signature
        import datetime
        import decimal

        known = {
            "np": np,
            "pd": pd,
            "datetime": datetime,
            "decimal": decimal,
            "x": np.asarray(model_input),
            "params": params,
        }
        return eval(self.code, known)


def tensors(*specs: TensorSpec) -> Schema:
    return Schema(list(specs))


def pyfunc(model: Any, inputs: Schema | None = None, params: ParamSchema | None = None, **more: Any) -> Save:
    signature = ModelSignature(inputs=inputs, params=params) if inputs or params else None
    return lambda path: mlflow.pyfunc.save_model(
        path, python_model=model, signature=signature, pip_requirements=[], **more
    )


FLOATS = tensors(TensorSpec(np.dtype("float64"), (-1, 2)))
WARMTH = ParamSchema([ParamSpec("temperature", "double", 0.5), ParamSpec("stop", "string", ["x"], (-1,))])


def _people() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, 60),
            "rooms": random.integers(1, 6, 60),
            "town": random.choice(["Bern", "Chur"], 60),
        }
    )
    return frame, np.where(frame["age"] > 40, "old", "young")


def pipeline(path: str) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame, labels = _people()
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"), LogisticRegression(max_iter=500)
    ).fit(frame, labels)
    signature = infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(model, path, signature=signature, serialization_format="cloudpickle", pip_requirements=[])


def _numeric(path: str, save: Callable[..., None], model: Any, **more: Any) -> None:
    x = np.random.default_rng(3).normal(size=(80, 2))
    model.fit(x, (x[:, 0] > 0).astype(int) if "Classifier" in type(model).__name__ else x[:, 0] + 2 * x[:, 1])
    save(model, path, signature=ModelSignature(FLOATS), pip_requirements=[], **more)


def forest(path: str) -> None:
    from sklearn.ensemble import RandomForestClassifier

    _numeric(path, mlflow.sklearn.save_model, RandomForestClassifier(5), serialization_format="cloudpickle")


def probabilities(path: str) -> None:
    from sklearn.ensemble import RandomForestClassifier

    _numeric(path, mlflow.sklearn.save_model, RandomForestClassifier(5), serialization_format="cloudpickle",
             pyfunc_predict_fn="predict_proba")  # fmt: skip


def xgboost(path: str) -> None:
    import xgboost

    _numeric(path, mlflow.xgboost.save_model, xgboost.XGBRegressor(n_estimators=3, n_jobs=1))


def lightgbm(path: str) -> None:
    import lightgbm

    _numeric(path, mlflow.lightgbm.save_model, lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1))


def torch(path: str) -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.Dropout(), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2)
    )
    schema = tensors(TensorSpec(np.dtype("float32"), (-1, 3)))
    mlflow.pytorch.save_model(
        model, path, signature=ModelSignature(schema), serialization_format="pickle", pip_requirements=[]
    )


def torch_columns(path: str) -> None:
    import torch

    torch.manual_seed(0)
    schema = Schema([ColSpec("float", "a"), ColSpec("float", "b")])
    mlflow.pytorch.save_model(
        torch.nn.Linear(2, 2),
        path,
        signature=ModelSignature(schema),
        serialization_format="pickle",
        pip_requirements=[],
    )


def keras(path: str) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
    schema = tensors(TensorSpec(np.dtype("float32"), (-1, 3)))
    mlflow.tensorflow.save_model(model, path, signature=ModelSignature(schema), pip_requirements=[])


def hinted(path: str) -> None:
    """A function with a type hint, of which MLflow infers the signature."""

    def shout(model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

    mlflow.pyfunc.save_model(path, python_model=shout, pip_requirements=[], input_example=["a"])


def columns(*kinds: str) -> Schema:
    return Schema([ColSpec(kind, f"{kind}_", required=False) for kind in kinds])


NESTED = Schema(
    [
        ColSpec(Array(DataType.long), "ids", required=False),
        ColSpec(Object([Property("a", DataType.string), Property("b", DataType.double, required=False)]), "it", required=False),
        ColSpec(Map(DataType.string), "tags", required=False),
        ColSpec(AnyType(), "any", required=False),
    ]
)  # fmt: skip

ZOO: dict[str, Save] = {
    "columns": pyfunc(Echo(), columns(*KINDS), WARMTH),
    "nested": pyfunc(Echo(), NESTED),
    "unnamed text": pyfunc(Echo(), Schema([ColSpec("string")])),
    "required": pyfunc(Echo(), Schema([ColSpec("long", "a"), ColSpec("double", "b")])),
    "several": pyfunc(Echo(), tensors(TensorSpec(np.dtype("int64"), (-1, 2), "ids"), TensorSpec(np.dtype("float32"), (-1, 2, 2), "image"))),
    "text": pyfunc(Echo(), tensors(TensorSpec(np.dtype("str"), (-1,)))),
    "uint8": pyfunc(Echo(), tensors(TensorSpec(np.dtype("uint8"), (-1, 2)))),
    "floats": pyfunc(Echo(), FLOATS, WARMTH),
    "bools": pyfunc(Echo(), tensors(TensorSpec(np.dtype("bool"), (-1,)))),
    "undeclared": pyfunc(Echo()),
    "hinted": hinted,
    "pipeline": pipeline,
    "forest": forest,
    "probabilities": probabilities,
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "torch": torch,
    "torch columns": torch_columns,
    "keras": keras,
}  # fmt: skip


def finished(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine returns. In a thread: a browser test before it may have left its loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


class Served:
    """One saved model behind our server; `theirs` is MLflow's."""

    def __init__(self, path: Path, save: Save) -> None:
        if not path.exists():
            save(str(path))
        self.path = path
        self.model = load(str(path))
        self.server = ModelServer(self.model, "m", "1")
        self._theirs: TestClient | None = None

    def ask(self, document: Any, path: str = "/invocations", kind: str = "application/json") -> tuple[int, Any]:
        """One request by itself."""
        return finished(self._ask(document, path, kind))

    def ask_all(self, documents: list[Any], path: str = "/invocations") -> list[tuple[int, Any]]:
        """Requests that arrive together."""

        async def together() -> list[tuple[int, Any]]:
            return await asyncio.gather(*(self._ask(document, path, "application/json") for document in documents))

        return finished(together())

    async def _ask(self, document: Any, path: str, kind: str) -> tuple[int, Any]:
        status, content = await self.server.answer("POST", path, kind, _body(document))
        return status, json.loads(content)

    def theirs(self, document: Any, kind: str = "application/json") -> tuple[int, Any]:
        """What MLflow's own scoring server answers."""
        if self._theirs is None:
            loaded = mlflow.pyfunc.load_model(str(self.path))
            self._theirs = TestClient(scoring_server.init(loaded), raise_server_exceptions=False)
        answer = self._theirs.post("/invocations", content=_body(document), headers={"Content-Type": kind})
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text


def _body(document: Any) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()
