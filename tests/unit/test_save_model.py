"""`save_model`: what it leaves behind, and what it leaves alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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
