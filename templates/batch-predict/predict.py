"""Scores a table larger than memory: Ray Data streams it through processes that each hold the model."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow.parquet as pq
import ray

import submarine_ray as submarine
from submarine_ray.client.torch_models import load_pyfunc
from submarine_ray.spec.devices import NO_GPU

COLUMN = "prediction"
SCORER_CPUS = 0.5


class Scorer:
    """One process's copy of the model; workers know nothing of this job's variables."""

    def __init__(self, uri: str, variables: dict[str, str]) -> None:
        os.environ |= variables
        self._model = load_pyfunc(uri)

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        found = self._model.predict(rows)
        if isinstance(found, pd.DataFrame):
            return pd.concat([rows, found.add_prefix(f"{COLUMN}_").set_index(rows.index)], axis=1)
        return rows.assign(**{COLUMN: list(found)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("version", type=int)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output")
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0)
    options = parser.parse_args()

    uri = f"models:/{options.model}/{options.version}"
    try:
        mlflow.MlflowClient().get_model_version(options.model, str(options.version))
    except mlflow.MlflowException as failure:
        raise SystemExit(f"there is no version {options.version} of model {options.model!r}: {failure}") from failure
    if options.output and Path(options.output).exists() and any(Path(options.output).iterdir()):
        raise SystemExit(f"{options.output} is not empty; its files would be mixed with these")
    ray.init()
    begun = time.monotonic()
    variables = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_TRACKING_")}
    variables |= {} if options.gpus else NO_GPU
    scored = read(options.data).map_batches(
        Scorer,
        fn_constructor_args=(uri, variables),
        batch_size=options.batch_size,
        batch_format="pandas",
        num_cpus=SCORER_CPUS,
        num_gpus=options.gpus,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=options.workers),
    )
    with tempfile.TemporaryDirectory() as directory:
        target = options.output or f"{directory}/predictions"
        scored.write_parquet(target)
        rows = sum(pq.ParquetFile(file).metadata.num_rows for file in Path(target).glob("*.parquet"))
        if not options.output:
            mlflow.MlflowClient().log_artifacts(os.environ["MLFLOW_RUN_ID"], target, "predictions")
    seconds = time.monotonic() - begun
    submarine.log_metric("rows", rows)
    submarine.log_metric("rows_per_second", rows / seconds)
    print(f"{rows} rows scored in {seconds:.1f} s", flush=True)


def read(path: Path) -> Any:
    if not path.exists():
        raise SystemExit(f"there is nothing at {path} on the cluster")
    names = [path.name] if path.is_file() else [file.name for file in path.iterdir()]
    if all(name.endswith(".parquet") for name in names):
        return ray.data.read_parquet(str(path))
    if all(name.endswith(".csv") for name in names):
        return ray.data.read_csv(str(path))
    raise SystemExit(f"{path} must be, or hold only, .parquet or .csv files")


if __name__ == "__main__":
    main()
