"""DeepFM: samples a second over a plain loop, and how near it comes to the truth, on a million rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench

ROUNDS = 3
ROWS, VALID_ROWS = 1_000_000, 200_000


def clicks(bench: Bench) -> None:
    """Each measurement in a process of its own, with a Ray of its own."""
    from submarine_ray.ml import synthetic

    with tempfile.TemporaryDirectory() as directory:
        synthetic.write(Path(directory, "train"), ROWS, 1)
        best = synthetic.write(Path(directory, "valid"), VALID_ROWS, 2)

        def measured(how: str) -> dict[str, float]:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.clicks", how, directory], check=True, capture_output=True, text=True
            )
            return dict(json.loads(done.stdout.splitlines()[-1]))

        pairs = [(measured("streamed"), measured("plain")) for _ in range(ROUNDS)]
        ours, plain = ([round_[index]["rate"] for round_ in pairs] for index in (0, 1))
        bench.add("DeepFM on one worker over a plain PyTorch loop in memory", "samples/s", ours, plain, ">= 0.9", True)
        two = measured("distributed")
        bench.add("DeepFM on two workers over one, whole train()", "samples/s", [two["whole_rate"]],
                  [pairs[0][0]["whole_rate"]], "reported", True)  # fmt: skip
        bench.add("DeepFM's AUC below the generator's own", "AUC", [best - pairs[0][0]["auc"]], [], "<= 0.01", False)


def main(how: str, directory: str) -> None:
    """Print what one way of training needed."""
    import time

    from submarine_ray.ml import DeepFM, data, model, synthetic

    document = {
        "input": {"train_data": f"{directory}/train", "valid_data": f"{directory}/valid"},
        "training": {
            "field_size": synthetic.FIELDS, "feature_size": synthetic.FIELDS * synthetic.VALUES, "embedding_size": 16,
            "deep_layers": [64, 32], "dropout": [0.1, 0.1], "num_epochs": 3, "batch_size": 512, "log_steps": 100,
            "learning_rate": 0.002, "num_threads": 1, "mode": "distributed" if how == "distributed" else "local",
        },
    }  # fmt: skip
    made = DeepFM(document)
    training, marks = made.config.training, []

    def mark(metrics: dict[str, float], step: int) -> None:
        marks.append((step, time.perf_counter()))

    begun = time.perf_counter()
    if how == "distributed":
        made.train()
    else:
        made._trained = made._new()
        if how == "plain":
            rows = _InMemory(Path(directory, "train"))
        else:
            model.connect()
            rows = data.of(made.config.input, made.config.input.train_data, training, shuffle=True)
        without = made.config.model_copy(deep=True)
        without.input.valid_data = []
        _fit(made._trained, rows, without, mark) if how == "plain" else model.fit(
            made._trained, made._trained, rows, without, mark
        )
    whole = training.num_epochs * ROWS / (time.perf_counter() - begun)
    if how == "distributed":
        print(json.dumps({"whole_rate": whole}))
        return
    # From the first mark on: starting Ray and its first worker is no matter of samples a second.
    (first, since), (last, until) = marks[0], marks[-1]
    rate = (last - first) * training.batch_size / (until - since)
    auc = made.evaluate()["auc"] if how == "streamed" else 0.0
    print(json.dumps({"rate": rate, "whole_rate": whole, "auc": auc}))


class _InMemory:
    def __init__(self, file: Path) -> None:
        import torch

        from submarine_ray.ml import data

        parsed = data.parse(file.read_bytes().splitlines(), "libsvm", 10, 300)
        self.columns = {name: torch.from_numpy(column) for name, column in parsed.items()}


def _fit(network: Any, rows: _InMemory, config: Any, log: Any) -> None:
    """The plain loop: the same steps on tensors in memory."""
    import torch

    training = config.training
    torch.set_num_threads(training.num_threads)
    optimizer = torch.optim.Adam(network.parameters(), training.learning_rate)
    step = 0
    for _ in range(training.num_epochs):
        for batch in torch.randperm(len(rows.columns["label"])).split(training.batch_size):
            ids, values, label = (rows.columns[name][batch] for name in ("ids", "values", "label"))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(ids, values), label)
            optimizer.zero_grad()
            (loss + 0.5 * training.l2_reg * network.penalty(ids)).backward()
            optimizer.step()
            step += 1
            if step % training.log_steps == 0:
                log({"loss": loss.item()}, step)


if __name__ == "__main__":
    main(*sys.argv[1:])
