"""Metrics from a script's own Ray workers, which stand on other nodes and know nothing of the experiment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from submarine_ray.client.tracking import log_metric

TAKE_SECONDS = 0.1


class RemoteLog:
    """Logs metrics with a step when it is called, in any process that it was sent to."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        self._queue.put((dict(metrics), step))


@contextlib.contextmanager
def remote_log() -> Iterator[RemoteLog]:
    """Open a log for Ray tasks, actors and trainers: this process logs the metrics that they send to it.

        with submarine.remote_log() as log:
            # in train: config["log"]({"loss": 0.1}, step)
            TorchTrainer(train, train_loop_config={"log": log}, ...).fit()

    It is for processes on other nodes, which know nothing of the experiment.
    """
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0})
    closing = threading.Event()

    def take() -> None:
        closed = False
        while not closed:
            closed = closing.wait(TAKE_SECONDS)  # before the last look: what was put before is taken
            for metrics, step in queue.get_nowait_batch(queue.qsize()):
                for key, value in metrics.items():
                    log_metric(key, value, step)

    thread = threading.Thread(target=take, name="remote-log", daemon=True)
    thread.start()
    try:
        yield RemoteLog(queue)
    finally:
        closing.set()
        thread.join()
        queue.shutdown()
