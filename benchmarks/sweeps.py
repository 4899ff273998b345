"""What a sweep costs over Ray Tune alone, and over running the script by hand."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, seconds
from submarine_ray.client.tune import tune

HERE = Path(__file__).parent
TRIALS, AT_ONCE, ROUNDS = 32, 2, 3
SPACE = {"x": {"type": "uniform", "low": 0, "high": 1}}


def sweeps(bench: Bench) -> None:
    """32 trials of a second, two at a time, from submission to the end that the user sees."""
    ray = bench.ray()
    command = f"{sys.executable} {HERE / 'trial.py'}"

    def raw(*words: str) -> None:
        entrypoint = shlex.join([sys.executable, str(HERE / "raw_tune.py"), *words])
        id = ray.post("/api/jobs/", json={"entrypoint": entrypoint}).json()["submission_id"]
        while (status := ray.get(f"/api/jobs/{id}").json()["status"]) not in ("SUCCEEDED", "FAILED"):
            time.sleep(0.05)
        assert status == "SUCCEEDED"

    def by_hand() -> None:
        values = "\n".join(str(n / TRIALS) for n in range(TRIALS))
        arguments = ["xargs", "-P", str(AT_ONCE), "-n", "1", *shlex.split(command)]
        subprocess.run(arguments, input=values.encode(), check=True, capture_output=True)

    def of(target: Any, trials: int = TRIALS) -> None:
        options = {"metric": "loss", "mode": "min", "num_samples": trials, "max_concurrent_trials": AT_ONCE}
        tune(target, SPACE, client=bench.client, name="sweep", **options).wait()  # type: ignore[arg-type]

    of(train, trials=2)
    of_functions, of_scripts, of_reusing = [], [], []
    for _ in range(ROUNDS):
        ours = seconds(lambda: of(train))
        of_functions.append((ours, seconds(raw)))
        of_reusing.append((ours, seconds(lambda: raw("reuse"))))
        of_scripts.append((seconds(lambda: of(f"{command} {{{{x}}}}")), seconds(by_hand)))
    bench.add(f"{TRIALS} one-second trials of a function over raw Ray Tune", "s",
              *map(list, zip(*of_functions, strict=True)), "<= 1.10", False)  # type: ignore[arg-type]  # fmt: skip
    bench.add("the same over raw Ray Tune that uses its actors again", "s",
              *map(list, zip(*of_reusing, strict=True)), "reported", False)  # type: ignore[arg-type]  # fmt: skip
    bench.add(f"{TRIALS} one-second trials of a script over xargs", "s",
              *map(list, zip(*of_scripts, strict=True)), "<= 1.5", False)  # type: ignore[arg-type]  # fmt: skip


def train(config: dict[str, float]) -> None:
    import time

    import ray.train

    time.sleep(1)
    ray.train.report({"loss": config["x"]})
