"""`python -m submarine_ray.client.ship SPOOL`: ships a spool for a process that no runner stands beside.

It leaves its starter's family at once, so that what kills the starter (Ray kills a worker's children with it) leaves
the last metrics a way to MLflow. The end of stdin tells it that the starter is gone; the end of its stdout tells
the starter that all is sent.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from submarine_ray.client.spool import CLOSE_SECONDS, Run, Shipper, say

START_SECONDS = 30


class ShipperProcess:
    """The starter's end. What the shipper has to say is printed here, where the replica's log is made."""

    def __init__(self, spool: Path) -> None:
        command = [sys.executable, "-m", "submarine_ray.client.ship", str(spool)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self._process.wait(START_SECONDS)  # the first of its two forks: from here on it is nobody's child
        self._listening = threading.Thread(target=self._listen, name="shipper", daemon=True)
        self._listening.start()

    def close(self) -> None:
        """Wait until all that was logged is sent, for CLOSE_SECONDS at most."""
        assert self._process.stdin  # noqa: S101 (Popen was given a pipe)
        self._process.stdin.close()
        self._listening.join(CLOSE_SECONDS)

    def _listen(self) -> None:
        assert self._process.stdout  # noqa: S101 (Popen was given a pipe)
        for line in self._process.stdout:
            say(line.rstrip("\n"))


def main() -> None:
    run = Run.from_env(os.environ)
    if run is None:
        sys.exit("MLFLOW_TRACKING_URI and MLFLOW_RUN_ID name no run")
    if os.fork():
        os._exit(0)
    os.setsid()
    shipper = Shipper(Path(sys.argv[1]), run).start()
    sys.stdin.buffer.read()
    shipper.close()


if __name__ == "__main__":
    main()
