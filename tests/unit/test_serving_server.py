"""Threads, batches and failures of one model's server, with models that are plain functions."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.models import Model as Described
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from serve_apps import joining, predictions, requirements
from serve_apps.errors import CannotServe
from serve_apps.model import Model, load
from serve_apps.server import ModelServer
from serve_apps.signature import Signature
from tests.unit.serving_zoo import FLOATS, Answers, Served, finished, pyfunc

ROW = (np.dtype("float64"), (-1, 2))
Predict = Callable[[Any, Any], Any]


def signature() -> Signature:
    schema = Schema([TensorSpec(*ROW)])
    return Signature(Described(signature=ModelSignature(schema)), is_native=True)


def server(predict: Predict, joins: bool = True, threads: int = 2) -> ModelServer:
    return ModelServer(Model("t", signature(), predict, threads, joins), "m", "1")


async def post(server: ModelServer, *rows: list[float]) -> tuple[int, Any]:
    status, content = await server.answer("POST", "/invocations", "", json.dumps({"inputs": rows}).encode())
    return status, json.loads(content)


def together(server: ModelServer, *requests: list[list[float]]) -> list[tuple[int, Any]]:
    async def all_of_them() -> list[tuple[int, Any]]:
        return await asyncio.gather(*(post(server, *rows) for rows in requests))

    return finished(all_of_them())


def test_what_arrives_together_is_one_call_and_each_request_gets_its_rows() -> None:
    calls = []

    def predict(rows: Any, _: Any) -> Any:
        calls.append(len(rows))
        return rows * 2

    found = together(server(predict), *([[number, 1], [number, 2]] for number in range(20)))
    assert [answer["predictions"] for _, answer in found] == [[[2 * n, 2], [2 * n, 4]] for n in range(20)]
    assert sum(calls) == 40 and len(calls) <= 3


def test_one_bad_request_does_not_spoil_those_that_arrived_with_it() -> None:
    def predict(rows: Any, _: Any) -> Any:
        if (rows < 0).any():
            raise ValueError("negative")
        return rows

    good, bad, other = together(server(predict), [[1, 1]], [[-1, 1]], [[2, 2]])
    assert (good, other) == ((200, {"predictions": [[1, 1]]}), (200, {"predictions": [[2, 2]]}))
    assert bad == (500, {"error": "the model could not answer: ValueError: negative"})


@pytest.mark.parametrize(
    "predict",
    [
        lambda rows, _: rows.sum(axis=0),
        lambda rows, _: [],
        lambda rows, _: {"mean": rows.mean(axis=0), "rows": rows},
        lambda rows, _: [{"row": row.tolist()} for row in rows],
        lambda rows, _: rows - rows.mean(axis=0),
        lambda rows, _: rows.argsort(axis=0),
        lambda rows, _: rows / np.abs(rows).max(),
        lambda rows, _: np.repeat(rows, 2, axis=0),
        lambda rows, _: rows[:1],
    ],
)  # fmt: skip
def test_a_model_whose_answer_depends_on_other_rows_is_not_batched(predict: Predict) -> None:
    assert not joining.answers_by_row(predict, *ROW)
    for joins in (False, True) if not isinstance(predict(np.ones((5, 2)), None), np.ndarray) else (False,):
        one = server(predict, joins)
        requests = [[[1, 2]], [[3, 4], [5, 6]], [[7, 8]]]
        assert together(one, *requests) == [finished(post(one, *rows)) for rows in requests]


def test_other_rows_that_weigh_little_are_noticed_too() -> None:
    """As where a quantized model measures its input's range anew for each batch."""
    single = np.dtype("float32")
    assert not joining.answers_by_row(lambda rows, _: rows + np.float32(0.001) * rows.mean(), single, (-1, 4))
    assert not joining.answers_by_row(lambda rows, _: np.round(rows * (64 / np.abs(rows).max())), single, (-1, 4))
    table = np.arange(12, dtype=single).reshape(4, 3)
    assert joining.answers_by_row(lambda rows, _: rows @ table, single, (-1, 4))


def test_rows_that_are_answered_by_themselves_are_batched() -> None:
    table = np.arange(8.0).reshape(2, 4)
    assert joining.answers_by_row(lambda rows, _: rows @ table, *ROW)
    assert joining.answers_by_row(lambda rows, _: np.where(rows[:, 0] > 0, "yes", "no"), *ROW)
    assert joining.answers_by_row(lambda rows, _: table[:, 1][rows], np.dtype("int64"), (-1, -1))
    assert not joining.answers_by_row(lambda rows, _: rows, np.dtype("float64"), (1, 2))


def test_health_answers_at_once_and_quick_requests_soon_while_a_prediction_is_slow() -> None:
    let_go, slow_began = threading.Event(), threading.Event()

    def predict(rows: Any, _: Any) -> Any:
        if rows[0, 0] < 0:
            slow_began.set()
            let_go.wait(20)
        return rows

    async def ask() -> None:
        one = server(predict)
        slow = asyncio.create_task(post(one, [-1, 0]))
        while not slow_began.is_set():
            await asyncio.sleep(0.001)
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m"):
            assert (await one.answer("GET", path, "", b""))[0] == 200
        assert not slow.done()
        assert (await post(one, [1, 1]))[0] == 200  # another thread has taken it
        assert not slow.done()
        let_go.set()
        assert (await slow)[0] == 200

    finished(ask())


def test_quick_predictions_are_one_at_a_time_and_slow_ones_as_many_as_there_are_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running, most, all_threads = [], [], threading.Event()

    def predict(rows: Any, _: Any) -> Any:
        running.append(1)
        most.append(len(running))
        if len(running) == 3:
            all_threads.set()
        if rows[0, 0] < 0:
            all_threads.wait(20)
        running.pop()
        return rows

    with monkeypatch.context() as still:
        still.setattr(predictions, "monotonic", lambda: 0.0)  # however long a busy machine takes, they are quick
        together(server(predict, joins=False, threads=3), *[[[1, 0]]] * 20)
    assert max(most) == 1
    together(server(predict, joins=False, threads=3), *[[[-1, 0]]] * 5)
    assert max(most) == 3


@pytest.mark.parametrize("failure", [SystemExit(3), KeyboardInterrupt(), RuntimeError("CUDA error: an illegal access")])
def test_what_leaves_the_process_in_doubt_is_a_500_and_the_replica_is_to_be_replaced(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def predict(rows: Any, _: Any) -> Any:
        if (rows < 0).any():
            raise failure
        return rows

    for joins in (True, False):
        one = server(predict, joins)
        with caplog.at_level(logging.ERROR):
            found = together(one, [[1, 1]], [[-1, 1]], [[2, 2]])
        assert [status for status, _ in found] == [200, 500, 200]
        assert type(failure).__name__ in found[1][1]["error"]
        assert one.broken and "This replica is to be replaced" in caplog.text
        status, content = finished(one.answer("GET", "/v2/health/ready", "", b""))
        assert status == 503 and b"is being replaced" in content
        assert finished(one.answer("GET", "/v2/health/live", "", b""))[0] == 200


def test_a_gpu_without_memory_for_one_request_serves_the_next() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    def predict(rows: Any, _: Any) -> Any:
        raise OutOfMemoryError("CUDA error: out of memory")

    one = server(predict)
    assert finished(post(one, [1, 1]))[0] == 500 and one.broken is None


def test_too_many_waiting_requests_are_told_so() -> None:
    let_go = threading.Event()
    one = server(lambda rows, _: let_go.wait(60) and rows, joins=False, threads=1)

    async def ask() -> list[int]:
        asked = [asyncio.create_task(post(one, [1, 1])) for _ in range(1100)]
        while sum(task.done() for task in asked) < 99:  # beside the one that is answered, and those that may wait
            await asyncio.sleep(0.001)
        let_go.set()
        return [status for status, _ in await asyncio.gather(*asked)]

    found = finished(ask())
    assert (found.count(503), found.count(200)) == (99, 1001)


class Broken(mlflow.pyfunc.PythonModel):
    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def load_context(self, context):  # type: ignore[no-untyped-def]
        raise self.failure

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return 0


@pytest.mark.parametrize("failure", [RuntimeError("the weights file is corrupt"), SystemExit("no licence")])
def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "model"
    pyfunc(Broken(failure), FLOATS)(str(path))
    (path / "requirements.txt").write_text("numpy==1.0 # old\nmlflow\nnot-a-package-of-ours>=3\n--no-binary x\n")
    with pytest.raises(CannotServe) as caught:
        load(str(path))
    said = str(caught.value)
    assert str(failure) in said and f"numpy==1.0 (here {np.__version__})" in said
    assert "not-a-package-of-ours>=3 (not here)" in said and "mlflow" not in said.partition("other versions")[2]


def test_a_model_without_requirements_differs_in_none(tmp_path: Path) -> None:
    assert requirements.differing(tmp_path) == []
    with pytest.raises(CannotServe, match="The model cannot be loaded"):
        load(str(tmp_path / "nothing"))


@pytest.mark.filterwarnings("ignore")
def test_a_model_must_answer_the_example_that_was_saved_with_it(tmp_path: Path) -> None:
    for name, code in (("good", "x[:, 0]"), ("bad", "x[:, 0] if len(x) > 5 else {}['gone']")):
        model = pyfunc(Answers("x"), FLOATS, input_example=np.ones((2, 2)))
        model(str(tmp_path / name))
        served = Served(tmp_path / name, model)
        assert served.model.example is not None
        served.server.check_example()
        failing = Model(
            "t", served.model.signature, lambda x, _, code=code: eval(code, {"x": x}), 1, False, served.model.example
        )
        if name == "bad":
            with pytest.raises(CannotServe, match=r"does not answer its saved input example: .*KeyError: 'gone'"):
                ModelServer(failing, "m", "1").check_example()


def test_native_models_of_several_tensors_and_dicts(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Two(torch.nn.Module):
        def forward(self, ids: Any, image: Any) -> Any:
            return {"sum": image.sum((1, 2)) + ids, "both": [ids, image]}

    schema = Schema([TensorSpec(np.dtype("int64"), (-1,), "ids"), TensorSpec(np.dtype("float32"), (-1, 2, 2), "image")])
    save = {"signature": ModelSignature(schema), "serialization_format": "pickle", "pip_requirements": []}
    served = Served(tmp_path / "model", lambda path: mlflow.pytorch.save_model(Two(), path, **save))
    image = [[1.0, 2.0], [3.0, 4.0]]
    asked = {"inputs": {"image": [image], "ids": [5]}}
    assert served.ask(asked) == (200, {"predictions": {"sum": [15.0], "both": [[5], [image]]}})
    v2 = [
        {"name": "ids", "shape": [1], "datatype": "INT32", "data": [5]},
        {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]},
    ]
    status, answer = served.ask({"inputs": v2, "outputs": [{"name": "sum"}]}, "/v2/models/m/infer")
    assert status == 200 and answer["outputs"] == [{"name": "sum", "shape": [1], "datatype": "FP32", "data": [15.0]}]


def test_whoever_opens_the_address_of_predictions_is_told_to_post() -> None:
    for path in ("/invocations", "/v2/models/m/infer"):
        status, content = finished(server(lambda rows, _: rows).answer("GET", path, "", b""))
        assert (status, json.loads(content)["error"]) == (405, f"{path} answers POST, with the input as its body")
