"""Where things lie on this machine: one directory, `SUBMARINE_HOME` (default `~/.submarine`).

Only path arithmetic: the CLI, the control service and the tests all read the layout from here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 32080


@dataclass(frozen=True)
class Home:
    """The layout of one installation's directory."""

    root: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Home:
        """The directory that `SUBMARINE_HOME` names, else `~/.submarine`."""
        return cls(Path(env.get("SUBMARINE_HOME") or "~/.submarine").expanduser().absolute())

    @property
    def database(self) -> Path:
        return self.root / "submarine.db"

    @property
    def mlflow_database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def packages(self) -> Path:
        """Uploaded working directories and train functions, by content hash."""
        return self.root / "packages"

    @property
    def launches(self) -> Path:
        """What each attempt on a cluster that shares this disk is to run (mode 0600: may hold users' variables)."""
        return self.root / "launches"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def notebooks(self) -> Path:
        """What users write in notebooks, by namespace and name: it outlives the notebooks."""
        return self.root / "notebooks"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def spool(self) -> Path:
        """Logs of jobs that run, split by replica, while somebody reads them; made anew with each start."""
        return self.root / "spool"

    def spool_of(self, number: int) -> Path:
        """Those of one of several services that share this home; the first has number 1."""
        return self.spool if number == 1 else self.root / f"spool-{number}"

    @property
    def secret_key(self) -> Path:
        return self.root / "secret.key"

    @property
    def token(self) -> Path:
        """The service's token where it had to make one itself (mode 0600); the SDK and the CLI read it."""
        return self.root / "token"

    @property
    def service_log(self) -> Path:
        return self.root / "logs" / "service.log"

    @property
    def ray_log(self) -> Path:
        return self.root / "logs" / "ray.log"

    @property
    def service_state(self) -> Path:
        return self.root / "run" / "service.json"

    def service_state_of(self, number: int) -> Path:
        """One of several services' process; `service_state` is then of what stands in front of them."""
        return self.root / "run" / f"service-{number}.json"

    def service_log_of(self, number: int) -> Path:
        return self.root / "logs" / f"service-{number}.log"

    @property
    def front_configuration(self) -> Path:
        return self.root / "run" / "haproxy.cfg"

    @property
    def front_log(self) -> Path:
        return self.root / "logs" / "front.log"

    @property
    def ray_state(self) -> Path:
        """The local cluster's process, ports and addresses, written by `submarine up`."""
        return self.root / "run" / "ray.json"

    @property
    def ray_token(self) -> Path:
        return self.root / "ray-token"

    @property
    def ray_storage(self) -> Path:
        """The GCS's RocksDB: job records survive a restart of the head."""
        return self.root / "ray-gcs"

    @property
    def lock(self) -> Path:
        return self.root / "run" / "lock"

    @property
    def cli_config(self) -> Path:
        return self.root / "cli.yaml"
