"""Brings what a spool holds to the tracking server, from a thread beside the training process.

Our own service takes thousands of points at once and numbers them by where they end in the spool, so that each is
stored once, whoever sends it again. Any other MLflow server gets `log-batch`.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from submarine_ray.client import spool
from submarine_ray.client.spool import Run, TrackingRefused, say, whole_lines
from submarine_ray.spec.launch import NOT_STORED
from submarine_ray.spec.records import Metric, Param
from submarine_ray.spec.spool import media_queue, writer_file
from submarine_ray.spec.spool.batches import MAX_POINTS, Row
from submarine_ray.spec.spool.lines import Piece, metric

if TYPE_CHECKING:
    from submarine_ray.client.batches import Batches
    from submarine_ray.client.media_shipper import MediaShipper
    from submarine_ray.client.mlflow_rest import MlflowRest

BATCH_METRICS = 1000  # MLflow's limit for one log-batch
BATCH_PARAMS = 100
SHIP_SECONDS = 0.5
# For how long the end of a replica waits for a server that takes nothing; each batch that it takes begins it anew.
CLOSE_SECONDS = 60
MAX_WARNINGS = 20
# How often a server that cannot say whether it is ours is asked, before it is taken for another.
PROBES = 3
_LOOK_SECONDS = 0.2


class Shipper:
    """Sends what a spool holds, and goes on until closed; a server that is away is waited for.

    A record that the server does not take costs itself alone; `warn` is told of it, in a line, MAX_WARNINGS times at
    most. `keeps` says that the spool outlives this process, where the service finds what was not sent.
    """

    def __init__(self, path: Path, run: Run, warn: Callable[[str], None] = say, keeps: bool = False) -> None:
        self._path = path
        self._run = run
        self._warn = warn
        self._keeps = keeps
        self._rest: MlflowRest | None = None
        self._batches: Batches | None = None
        self._media: MediaShipper | None = None
        self._run_id = ""
        self._offset = 0
        self._stored = 0  # of the spool, by our service
        self._probes = 0
        self._deadline = math.inf
        self._closing = threading.Event()
        self._is_complete = False
        self.refused = 0
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def start(self) -> Shipper:
        self._thread.start()
        return self

    def hurry(self, seconds: float) -> None:
        """Let `close` wait no longer than `seconds` from now: the replica was stopped."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def close(self, patience: float = CLOSE_SECONDS) -> bool:
        """Send the rest, as long as it moves within `patience` seconds; False, and a warning, if something is left or
        was refused.
        """
        self._closing.set()
        if self._thread.ident is not None:
            self._wait(patience)
        if self._thread.is_alive():
            self._tell_rest(patience)
        elif self.refused > MAX_WARNINGS:
            self._warn(f"{NOT_STORED}{self.refused - MAX_WARNINGS} more records")
        media_is_sent = self._media is None or self._media.close(patience, lambda: self._deadline, self._keeps)
        return self._is_complete and media_is_sent and not self.refused

    def _wait(self, patience: float) -> None:
        offset, until = self._offset, time.monotonic() + patience
        while self._thread.is_alive() and (now := time.monotonic()) < min(until, self._deadline):
            self._thread.join(min(_LOOK_SECONDS, until - now))
            if self._offset != offset:
                offset, until = self._offset, time.monotonic() + patience

    def _tell_rest(self, patience: float) -> None:
        left = sum(1 for _ in whole_lines(self._path, self._offset))
        why = "the replica was stopped"
        if time.monotonic() < self._deadline:
            why = f"the tracking server took nothing for {patience:g} s"
        if self._keeps:
            self._warn(f"[submarine] {left:,} records are left for the service to store: {why}")
        else:
            self._warn(f"{NOT_STORED}{left:,} records, which were logged last: {why}")

    def _work(self) -> None:
        while True:
            closing = self._closing.is_set()  # read before the file: what was written before closing is sent
            try:
                more = self._ship()
                self._begin_media()
                if closing and not more:
                    self._mark_end()
            except OSError:
                time.sleep(1.0)
                continue
            except TrackingRefused as failure:
                self._note([f"what this replica logs: {failure}"])
                return
            if not more:
                if closing:
                    self._is_complete = True
                    return
                self._closing.wait(SHIP_SECONDS)

    def _begin_media(self) -> None:
        """Ship images and the like, too, once there are any. Raises OSError, TrackingRefused."""
        if self._media is None and media_queue(self._path).exists():
            if self._rest is None:
                self._connect()
            from submarine_ray.client.media_shipper import MediaShipper  # late: most replicas log none

            is_ours = self._batches is not None
            self._media = MediaShipper(media_queue(self._path), self._run, self._run_id, is_ours, self._warn)

    def _mark_end(self) -> None:
        """Where parameters stand last, or what was refused: the service need not look at them again. Raises OSError."""
        if self._batches and self._stored < self._offset:
            with contextlib.suppress(TrackingRefused):  # all is stored; this would only have spared a look
                self._batches.send([], self._stored, self._offset)
            self._stored = self._offset

    def _ship(self) -> bool:
        """Send a piece; whether there was one. Raises OSError, TrackingRefused if the run takes nothing."""
        piece = spool.piece(self._path, self._offset, MAX_POINTS if self._batches else BATCH_METRICS)
        if piece is None:
            return False
        if self._rest is None:
            self._connect()
            return True
        refused = piece.refused + self._send_params(self._rest, piece.params)
        if self._batches:
            told = self._send_batch(self._batches, piece)
            if told is None:
                return True  # another sender was faster: from where it is, anew
            refused += told
        else:
            refused += self._send(self._rest, "metrics", [metric(row) for row in piece.rows])
        self._offset = piece.end  # only now: until here, what broke off is sent again, and told once
        self._note(refused)
        return True

    def _connect(self) -> None:
        """Find the run, and whether the server is ours. Raises OSError, TrackingRefused."""
        # Late: a script that logs nothing does not pay for the import of an HTTP client.
        from submarine_ray.client.batches import Batches, is_of_our_service
        from submarine_ray.client.mlflow_rest import MlflowRest

        rest = MlflowRest(self._run)
        self._run_id = rest.replica_run(self._run)
        batches = Batches(rest, self._run_id, writer(self._path))
        try:
            stored = batches.stored()
        except OSError as failure:
            if isinstance(failure, ConnectionError) or is_of_our_service(failure):
                raise  # it starts: taken for another, the service would store every point once more at the end
            self._probes += 1
            if self._probes < PROBES:
                raise
            rest.get(f"runs/get?run_id={self._run_id}")  # MLflow is well, and what is beside it is not ours
            stored = None
        if stored is not None:
            self._batches = batches
            self._offset = self._stored = stored
        self._rest = rest

    def _send_batch(self, batches: Batches, piece: Piece) -> list[str] | None:
        """What our service refuses of a piece, and why; None if it has more of the spool than this object knew."""
        try:
            return self._send_rows(batches, piece.rows, piece.ends)
        except TrackingRefused as failure:
            if failure.status != 409:
                raise
            self._offset = self._stored = batches.stored() or 0
            return None

    def _send_rows(self, batches: Batches, rows: Sequence[Row], ends: Sequence[int]) -> list[str]:
        """Send rows; of a batch that is refused, all but those that are really not wanted: these, and why."""
        if not rows:
            return []
        try:
            batches.send(rows, self._stored, ends[-1])
            self._stored = ends[-1]
        except TrackingRefused as failure:
            if failure.is_of_the_run or failure.status == 409:
                raise
            if len(rows) == 1:
                return [f"{metric(rows[0])}: {failure}"]
            half = len(rows) // 2
            first = self._send_rows(batches, rows[:half], ends[:half])
            return first + self._send_rows(batches, rows[half:], ends[half:])
        return []

    def _send_params(self, rest: MlflowRest, params: Sequence[Param]) -> list[str]:
        refused = []
        for first in range(0, len(params), BATCH_PARAMS):
            refused += self._send(rest, "params", params[first : first + BATCH_PARAMS])
        return refused

    def _send(self, rest: MlflowRest, kind: str, records: Sequence[Metric] | Sequence[Param]) -> list[str]:
        """By MLflow's API, as `_send_rows`."""
        if not records:
            return []
        try:
            rest.post("runs/log-batch", {"run_id": self._run_id, kind: [record.body() for record in records]})
        except TrackingRefused as failure:
            if failure.is_of_the_run:
                raise
            if len(records) == 1:
                return [f"{records[0]}: {failure}"]
            half = len(records) // 2
            return self._send(rest, kind, records[:half]) + self._send(rest, kind, records[half:])
        return []

    def _note(self, refused: Sequence[str]) -> None:
        for number, what in enumerate(refused, start=self.refused):
            if number < MAX_WARNINGS:
                self._warn(f"{NOT_STORED}{' '.join(what.split())}")
        self.refused += len(refused)


def writer(path: Path) -> str:
    """Who a spool's points are numbered by: a random word beside it, the same for all that ever send it."""
    file = writer_file(path)
    if not file.exists():
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_text(os.urandom(16).hex())
        with contextlib.suppress(FileExistsError):
            os.link(partial, file)  # whole, and the first one's
        partial.unlink()
    return file.read_text()
