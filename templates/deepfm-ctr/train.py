"""Click-through rates with DeepFM, FM or AFM: Submarine's document, made of the template's parameters."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import mlflow
import yaml

import submarine_ray as submarine
from submarine_ray.ml import AFM, FM, DeepFM, synthetic

MODELS = {"deepfm": DeepFM, "fm": FM, "afm": AFM}
DATA = ("train_data", "valid_data", "test_data")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=MODELS, default="deepfm")
    parser.add_argument("--model-name")
    parser.add_argument("--set", action="append", default=[], metavar="PART.NAME=VALUE")
    options = parser.parse_args()

    config = document(options.set)
    if not config["input"].get("train_data"):
        config = with_own_data(config)
    for name, value in config["training"].items():
        submarine.log_param(name, str(value))
    model = MODELS[options.model](config)
    model.train()
    if config["input"].get("valid_data"):
        for name, value in model.evaluate().items():
            submarine.log_metric(f"final_{name}", value)
            print(f"{name} {value:.4f}", flush=True)
    if config["input"].get("test_data"):
        keep_predictions(model.predict())
    model.register(options.model_name or None)


def document(settings: list[str]) -> dict[str, Any]:
    """`training.batch_size=512` and its like as the library's document; what is empty keeps its default."""
    found: dict[str, Any] = {"input": {}, "output": {}, "training": {}}
    for setting in settings:
        path, _, text = setting.partition("=")
        part, _, name = path.partition(".")
        if text:
            found[part][name] = text.split(",") if name in DATA else yaml.safe_load(text)
    workers = found["training"].get("workers", 1)
    found["training"]["mode"] = "distributed" if workers > 1 else "local"
    return found


def with_own_data(config: dict[str, Any]) -> dict[str, Any]:
    """Without data: clicks that were drawn from a known truth."""
    for name, rows, seed in (("train", 50_000, 1), ("valid", 20_000, 2)):
        best = synthetic.write(f"{name}.libsvm", rows, seed)
    print(f"no input.train_data: clicks drawn from a known truth, whose own auc is {best:.4f}", flush=True)
    submarine.log_metric("bayes_auc", best)
    files = {f"{name}_data": [str(Path(f"{name}.libsvm").absolute())] for name in ("train", "valid")}
    sizes = {"field_size": synthetic.FIELDS, "feature_size": synthetic.FIELDS * synthetic.VALUES}
    return {**config, "input": {"type": "libsvm", **files}, "training": {**config["training"], **sizes}}


def keep_predictions(probabilities: Any) -> None:
    """A probability a line, in the order of the test files, with the experiment."""
    Path("predictions.txt").write_text("".join(f"{probability:.6f}\n" for probability in probabilities))
    mlflow.MlflowClient().log_artifact(os.environ["MLFLOW_RUN_ID"], "predictions.txt")


if __name__ == "__main__":
    main()
