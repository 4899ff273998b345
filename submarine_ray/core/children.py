"""The environment of programs that the service starts."""

from __future__ import annotations

import os

# The service's settings, and what MLflow's server in this process writes down for its own workers: databases' URLs with
# their passwords, tokens and keys.
_OWN = ("SUBMARINE_", "MLFLOW_", "_MLFLOW_")


def environment() -> dict[str, str]:
    """This process's, without what is the service's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
