"""What a script's own Ray Train workers report becomes metrics of the experiment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, SupportsFloat

from submarine_ray.client.tracking import log_metric

TAKE_SECONDS = 0.1


@contextlib.contextmanager
def logged_reports() -> Iterator[Any]:
    """Inside, what rank 0 of a trainer gives `ray.train.report` is logged by this process, as it comes.

    Gives a callback for the trainer: `RunConfig(callbacks=[callback])`. The step is the report's own `step` where it
    has one, else its number.
    """
    from ray.util.queue import Queue

    queue = Queue(actor_options={"num_cpus": 0})
    closing = threading.Event()

    def log() -> None:
        number = 0
        closed = False
        while not closed:
            closed = closing.wait(TAKE_SECONDS)  # before the last look: what was put before is taken
            for metrics in queue.get_nowait_batch(queue.qsize()):
                number += 1
                step = int(metrics.pop("step", number))
                for key, value in metrics.items():
                    log_metric(key, value, step)

    thread = threading.Thread(target=log, name="reports", daemon=True)
    thread.start()
    try:
        yield reports_to(queue.put)
    finally:
        closing.set()
        thread.join()


def reports_to(put: Callable[[dict[str, float]], Any]) -> Any:
    """A callback of Ray Train's controller: gives `put` the numbers of each of rank 0's reports."""
    from ray.train import UserCallback

    class Reports(UserCallback):  # type: ignore[misc]
        def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
            put({key: float(value) for key, value in metrics[0].items() if isinstance(value, SupportsFloat)})

    return Reports()
