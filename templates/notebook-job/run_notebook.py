"""Runs a notebook from top to bottom; the executed one is kept with the experiment, as far as it came."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import mlflow
import papermill

import submarine_ray as submarine


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--working-directory")
    options = parser.parse_args()
    if not options.notebook.is_file():
        raise SystemExit(f"there is no notebook {options.notebook} on the cluster")
    try:
        values = json.loads(os.environ.get("NOTEBOOK_VALUES") or "{}")
    except ValueError as failure:
        raise SystemExit(f"the values are no JSON: {failure}") from failure
    if not isinstance(values, dict):
        raise SystemExit('the values must be a JSON object, such as {"rate": 0.1}')
    for name, value in values.items():
        submarine.log_param(name, str(value))
    executed = Path(f"executed-{options.notebook.name}")
    try:
        papermill.execute_notebook(
            str(options.notebook),
            str(executed),
            parameters=values,
            cwd=options.working_directory or options.notebook.parent,
            kernel_name="python3",
            progress_bar=False,
            log_output=True,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
        )
    except papermill.PapermillExecutionError as failure:
        raise SystemExit(f"cell {failure.exec_count} failed: {failure.ename}: {failure.evalue}") from failure
    finally:
        if executed.exists():
            mlflow.MlflowClient().log_artifact(os.environ["MLFLOW_RUN_ID"], str(executed))


if __name__ == "__main__":
    main()
