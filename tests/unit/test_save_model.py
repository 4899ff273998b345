"""`save_model`: what it leaves behind, and what it leaves alone."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import submarine_ray as submarine


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow on a database of the test's own."""
    mlflow = pytest.importorskip("mlflow")
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "_MLFLOW_", "SUBMARINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield mlflow
    while mlflow.active_run():
        mlflow.end_run()


def test_a_torch_model_is_saved_whole_and_goes_on_training(mlflow: Any, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5))
    model.train()
    submarine.save_model("pytorch", model, "a-model", [1, 4], [1, 2])
    assert model.training and model[0].weight.requires_grad
    assert "output_dim is [1, 2], but the model answers [-1, 3]" in capsys.readouterr().out
    version = mlflow.MlflowClient().get_model_version("a-model", "1")
    loaded = mlflow.pyfunc.load_model("models:/a-model/1")
    assert loaded.metadata.signature.inputs.input_types()[0].str == "<f4"
    assert [spec.shape for spec in loaded.metadata.signature.outputs.inputs] == [(-1, 3)]
    assert version.tags["submarine.model_type"] == "pytorch"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("caffe", None), "model_type 'caffe' is not known"), (("pytorch", None), "needs input_dim")],
)
def test_what_cannot_be_saved_is_said_before_anything_is_loaded(arguments: tuple[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        submarine.save_model(*arguments)


def test_other_ranks_leave_it_to_the_leader(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUBMARINE_LEADER", "0")
    monkeypatch.setenv("SUBMARINE_REPLICA", "worker-1")
    submarine.save_model("pytorch", object(), "m", [1, 4])
    assert "worker-1 leaves it to the leading replica" in capsys.readouterr().out


class Constants:
    """Makes a model whose graph has what `.to(device)` leaves behind: a constant, and a device by its name."""

    @staticmethod
    def module() -> Any:
        torch = pytest.importorskip("torch")

        class Module(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.linear = torch.nn.Linear(4, 3)
                self.weights = torch.tensor([1.0, 2.0, 3.0])  # no buffer: a constant of the export

            def forward(self, rows: Any) -> Any:
                return self.linear(rows) * self.weights + torch.arange(3, device=rows.device)

        return Module()


def test_an_export_is_loaded_onto_another_device_with_all_that_is_in_it(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`meta` stands in for a GPU: like one, it mixes with no tensor of the CPU."""
    torch = pytest.importorskip("torch")
    from serve_apps.model import load
    from submarine_ray.client import torch_models

    module = Constants.module()
    submarine.save_model("pytorch", module, "a-model", [-1, 4], [-1, 3])
    rows = torch.ones(2, 4)
    assert np.allclose(torch_models.load_pyfunc("models:/a-model/1").predict(rows.numpy()), module(rows).detach())
    assert np.allclose(load("models:/a-model/1").predict(rows.numpy()), module(rows).detach())
    monkeypatch.setenv(torch_models.DEVICE_VARIABLE, "meta")
    raw = torch_models.load_pyfunc("models:/a-model/1").get_raw_model()
    assert raw(torch.ones(2, 4, device="meta")).device.type == "meta"
    stuck = mlflow.pytorch.load_model("models:/a-model/1").to("meta")
    with pytest.raises(RuntimeError):  # what this is about: PyTorch's own way to the device does not move it all
        stuck(torch.ones(2, 4, device="meta"))


def test_a_model_is_tried_on_the_cpu_where_a_gpu_is_visible(
    mlflow: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(logging.getLogger("mlflow"), "propagate", True)
    submarine.save_model("pytorch", Constants.module(), "a-model", [-1, 4], [-1, 3])
    assert "Failed to validate" not in caplog.text and "MLFLOW_DEFAULT_PREDICTION_DEVICE" not in os.environ


_OWN_CODE = """
import os, numpy as np, mlflow, submarine_ray as submarine
from sklearn.cluster import Birch
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from beside import thrice

def twice(x):
    return thrice(x) - x

mlflow.set_tracking_uri(os.environ["TRACKING"])
for name, function in {"script": twice, "neighbour": thrice, "lambda": lambda x: x + 1, "library": np.sqrt}.items():
    x = np.arange(6.0).reshape(3, 2)
    model = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(x, [0, 1, 2])
    submarine.save_model("sklearn", model, name, input_example=x)
submarine.save_model("sklearn", Birch(n_clusters=2).fit(x), "birch", input_example=x)
"""


def test_a_model_takes_the_code_of_its_script_and_of_the_modules_beside_it_along(
    mlflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skops")
    (tmp_path / "beside.py").write_text("from deeper import three\n\n\ndef thrice(x):\n    return three * x\n")
    (tmp_path / "deeper.py").write_text("three = 3\n")
    (tmp_path / "train.py").write_text(_OWN_CODE)
    trained = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env=os.environ | {"TRACKING": f"sqlite:///{tmp_path}/mlflow.db"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert trained.returncode == 0, trained.stderr
    assert "the model uses __main__.twice, which an endpoint cannot import" in trained.stdout
    assert "Objects of type Birch are not supported yet: it is saved as a pickle" in trained.stdout
    for file in tmp_path.glob("*.py"):
        file.unlink()  # an endpoint has none of it
    monkeypatch.setattr(sys, "path", [*sys.path])  # MLflow puts in what travelled
    saved = {}
    for name in ("script", "neighbour", "lambda", "library", "birch"):
        for module in ("beside", "deeper"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        model = mlflow.pyfunc.load_model(f"models:/{name}/1")
        assert len(model.predict(np.ones((2, 2)))) == 2
        saved[name] = model.metadata.flavors["sklearn"]["serialization_format"]
    pickled = [name for name, form in saved.items() if form == "cloudpickle"]
    assert pickled == ["script", "lambda", "birch"]
    assert {saved["neighbour"], saved["library"]} == {"skops"}
