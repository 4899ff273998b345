"""Click-through models: their document, their files, their networks and what they measure. No cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from submarine_ray.ml import AFM, FM, DeepFM, data, synthetic
from submarine_ray.ml.auc import StreamingAuc
from submarine_ray.ml.config import ConfigError, Training
from submarine_ray.ml.networks import AFMNetwork, DeepFMNetwork, FMNetwork, Served

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "criteo_sample.txt"
SMALL = Training(field_size=3, feature_size=10, embedding_size=4, deep_layers=[8], dropout=[0.0])
SUBMARINES = {
    "input": {"train_data": ["tr.libsvm"], "valid_data": ["va.libsvm"], "test_data": ["te.libsvm"], "type": "libsvm"},
    "output": {"save_model_dir": "./experiment", "metric": "auc"},
    "training": {
        "batch_size": 512, "field_size": 39, "num_epochs": 3, "feature_size": 117581, "embedding_size": 256,
        "learning_rate": 0.0005, "batch_norm_decay": 0.9, "l2_reg": 0.0001, "deep_layers": [400, 400, 400],
        "dropout": [0.3, 0.3, 0.3], "batch_norm": False, "optimizer": "adam", "log_steps": 10, "num_threads": 4,
        "num_gpu": 0, "seed": 42, "mode": "distributed",
    },
    "resource": {"num_cpus": 4},
}  # fmt: skip


def test_the_document_of_submarines_examples_is_read(tmp_path: Path) -> None:
    (tmp_path / "deepfm.json").write_text(json.dumps(SUBMARINES))
    config = DeepFM(json_path=tmp_path / "deepfm.json").config
    assert config.input.train_data == ["tr.libsvm"] and config.training.embedding_size == 256
    assert FM({"input": {"train_data": "one.libsvm"}}).config.input.train_data == ["one.libsvm"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"training": {"batch_sise": 1}}, "training.batch_sise: Extra inputs"),
        ({"training": {"deep_layers": [1, 2], "dropout": [0.1]}}, "dropout has 1 entries for 2 deep_layers"),
        ({"training": {"dropout": [1.0, 0, 0]}}, "at least 0 and below 1"),
        ({"input": {"type": "csv"}}, "input.type: Input should be 'libsvm' or 'criteo'"),
        ({"training": {"learning_rate": 0}}, "greater than 0"),
    ],
)
def test_a_wrong_document_is_refused_by_name(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AFM(document)


def test_what_is_missing_is_told_before_anything_starts(tmp_path: Path) -> None:
    for method, name in (("train", "train_data"), ("evaluate", "valid_data"), ("predict", "test_data")):
        with pytest.raises(ConfigError, match=f"input.{name}: is empty"):
            getattr(DeepFM(), method)()
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        DeepFM(json_path=tmp_path / "none.json")
    with pytest.raises(data.DataError, match="cannot be read"):
        data.pieces([str(tmp_path / "none.libsvm")])


def test_libsvm_lines_of_any_length() -> None:
    rows = data.parse([b"1 3:0.5 7:1", b"-1 1:2 2:1 9:0.25", b"0"], "libsvm", 3, 9)
    assert rows["label"].tolist() == [1, 0, 0]
    assert rows["ids"].tolist() == [[3, 7, 0], [1, 2, 9], [0, 0, 0]]
    assert rows["values"].tolist() == [[0.5, 1, 0], [2, 1, 0.25], [0, 0, 0]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1 3:0.5 12:1 1:1", "a feature 12, and training.feature_size is 9"),
        (b"1 1:1 2:1 3:1 4:1", "a row has 4 features, and training.field_size is 3"),
        (b"1 a:1 2:1 3:1", "is no `label id:value"),
        (b"1 2 3:1", "is no `label id:value"),
    ],
)
def test_lines_that_are_wrong_are_told(line: bytes, message: str) -> None:
    with pytest.raises(data.DataError, match=message):
        data.parse([b"1 1:1 2:1 3:1", line], "libsvm", 3, 9)


def test_pieces_have_every_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PIECE_BYTES", 37)
    lines = [f"{n % 2} {n}:1".encode() for n in range(300)]
    (tmp_path / "a").write_bytes(b"\n".join(lines))
    found = data.pieces([str(tmp_path / "a")])
    assert len(found) > 50
    read = [line for piece in found for line in data.whole_lines(piece["path"], piece["start"], piece["end"])]
    assert read == lines


@pytest.mark.skipif(not SAMPLE.exists(), reason="needs shared/data/criteo_sample.txt")
def test_criteo_rows_have_logarithms_and_hashes() -> None:
    lines = SAMPLE.read_bytes().splitlines()
    rows = data.parse(lines, "criteo", 39, 1000)
    assert rows["ids"].shape == (200, 39) and rows["ids"].max() <= 1000
    assert rows["values"][0, 1] == pytest.approx(np.log1p(3)) and rows["values"][0, 0] == 0
    tabbed = data.parse([line.replace(b",", b"\t") for line in lines], "criteo", 39, 1000)
    assert np.array_equal(rows["ids"], tabbed["ids"])
    with pytest.raises(data.DataError, match=r"criteo needs training\.field_size 39"):
        data.parse(lines, "criteo", 10, 1000)


def test_a_factorization_machine_sums_all_products() -> None:
    network = FMNetwork(SMALL)
    ids, values = torch.tensor([[1, 4, 9]]), torch.tensor([[1.0, 0.5, 2.0]])
    vectors = network.vector.weight[ids[0]] * values[0].unsqueeze(1)
    products = sum((vectors[i] @ vectors[j]).item() for i in range(3) for j in range(i + 1, 3))
    first = float((network.weight.weight[ids[0]].squeeze(1) * values[0]).sum())
    assert network(ids, values).item() == pytest.approx(first + products, abs=1e-6)


@pytest.mark.parametrize("network", [FMNetwork, DeepFMNetwork, AFMNetwork])
def test_each_network_is_served_from_ids_and_values(network: Any) -> None:
    made = network(SMALL).eval()
    ids, values = torch.randint(0, 10, (5, 3)), torch.rand(5, 3)
    served = Served(made)(torch.stack([ids.float(), values], dim=1))
    assert served.shape == (5, 1)
    assert torch.allclose(served.squeeze(1), torch.sigmoid(made(ids, values)))
    assert made.penalty(ids).item() > 0


def test_the_streaming_area_is_the_whole_one() -> None:
    source = np.random.default_rng(1)
    labels = (source.random(20_000) < 0.3).astype(int)
    probabilities = np.clip(source.normal(0.4 + 0.2 * labels, 0.2), 0, 1).astype(np.float32)
    auc = StreamingAuc()
    for begin in range(0, 20_000, 777):
        auc.add(probabilities[begin : begin + 777], labels[begin : begin + 777])
    assert auc.value == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-5)
    one = StreamingAuc()
    one.add(probabilities[:5], np.zeros(5))
    assert np.isnan(one.value)


def test_synthetic_clicks_are_the_same_each_time(tmp_path: Path) -> None:
    best = [synthetic.write(tmp_path / name, 5000, 3) for name in ("a", "b")]
    assert best[0] == best[1] and 0.8 < best[0] < 0.9
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
