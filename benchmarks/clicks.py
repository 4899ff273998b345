"""DeepFM: samples a second over a plain loop, and how near it comes to the truth, on a million rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

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

    import numpy as np
    import torch

    from submarine_ray.ml import DeepFM, data, model, synthetic

    document = {
        "input": {"train_data": f"{directory}/train", "valid_data": f"{directory}/valid"},
        "training": {
            "field_size": synthetic.FIELDS, "feature_size": synthetic.FIELDS * synthetic.VALUES, "embedding_size": 16,
            "deep_layers": [64, 32], "dropout": [0.1, 0.1], "num_epochs": 1, "batch_size": 512, "log_steps": 1000,
            "learning_rate": 0.002, "num_threads": 1, "mode": "distributed" if how == "distributed" else "local",
        },
    }  # fmt: skip
    made = DeepFM(document)
    training = made.config.training
    if how == "plain":
        torch.set_num_threads(1)
        lines = Path(directory, "train").read_bytes().splitlines()
        rows = {name: torch.from_numpy(c) for name, c in data.parse(lines, "libsvm", 10, 300).items()}
        network = made._new()
        optimizer = torch.optim.Adam(network.parameters(), training.learning_rate)
        begun = time.perf_counter()
        order = torch.from_numpy(np.random.default_rng(1).permutation(len(lines)))
        for batch in order.split(training.batch_size):
            ids, values, label = rows["ids"][batch], rows["values"][batch], rows["label"][batch]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(ids, values), label)
            optimizer.zero_grad()
            (loss + 0.5 * training.l2_reg * network.penalty(ids)).backward()
            optimizer.step()
        print(json.dumps({"rate": len(lines) / (time.perf_counter() - begun)}))
        return
    model.connect()
    begun = time.perf_counter()
    if how == "distributed":
        made.train()
        print(json.dumps({"whole_rate": ROWS / (time.perf_counter() - begun)}))
        return
    rows = data.of(made.config.input, made.config.input.train_data, training, shuffle=True)
    without = made.config.model_copy(deep=True)
    without.input.valid_data = []
    made._trained = made._new()
    model.fit(made._trained, made._trained, rows, without, lambda metrics, step: None)
    seconds = time.perf_counter() - begun
    auc = made.evaluate()["auc"]
    print(json.dumps({"rate": ROWS / seconds, "whole_rate": ROWS / (time.perf_counter() - begun), "auc": auc}))


if __name__ == "__main__":
    main(*sys.argv[1:])
