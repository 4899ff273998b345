"""`python -m submarine_ray.client.ship SPOOL`: ships a spool for a process that no runner stands beside.

It leaves its starter's family at once, so that what kills the starter (Ray kills a worker's children with it) leaves
the last metrics a way to MLflow. The end of stdin tells it that the starter is gone; DONE on its stdout tells the
starter that it has done what it could. One that ended without that word was killed: another goes on where it was.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from submarine_ray.client.shipper import Shipper
from submarine_ray.client.spool import Run, say
from submarine_ray.spec.launch import NOT_STORED

START_SECONDS = 30
STARTS = 3
DONE = "[submarine] done"


class ShipperProcess:
    """The starter's end. What the shipper has to say is printed here, where the replica's log is made."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._is_done = False
        self._start()

    def close(self) -> None:
        """Wait until all that was logged is sent, or has not moved for shipper.CLOSE_SECONDS."""
        for _ in range(STARTS):
            assert self._process.stdin  # noqa: S101 (Popen was given a pipe)
            self._process.stdin.close()
            self._listening.join()
            if self._is_done:
                return
            self._start()
        say(f"{NOT_STORED}what was logged last: what sends it was killed {STARTS} times")

    def _start(self) -> None:
        command = [sys.executable, "-m", "submarine_ray.client.ship", str(self._spool)]
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

    def _listen(self) -> None:
        assert self._process.stdout  # noqa: S101 (Popen was given a pipe)
        for line in self._process.stdout:
            if line.rstrip("\n") == DONE:
                self._is_done = True
            else:
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
    say(DONE)


if __name__ == "__main__":
    main()
