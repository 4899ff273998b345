"""32 one-second trials, two at a time, on Ray Tune alone; nothing in it knows the platform."""

import sys
import time

from ray import tune


def train(config):
    time.sleep(1)
    tune.report({"loss": config["x"]})


tuner = tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    param_space={"x": tune.uniform(0, 1)},
    tune_config=tune.TuneConfig(
        metric="loss", mode="min", num_samples=32, max_concurrent_trials=2, reuse_actors="reuse" in sys.argv
    ),
    run_config=tune.RunConfig(verbose=0),
)
assert len(tuner.fit()) == 32
