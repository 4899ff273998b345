"""The engines' metrics on /metrics: docs/engine.md explains each of them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

DUE = Gauge("submarine_reconcile_due", "Rows that are due now", ["feature"])
OLDEST = Gauge("submarine_reconcile_oldest_due_seconds", "How long the first of them has been due", ["feature"])
CLAIMED = Gauge("submarine_reconcile_claimed", "Rows that this service has in hand", ["feature"])
STEP = Histogram("submarine_reconcile_step_seconds", "Steps that were taken", ["feature", "step"])
FAILURES = Counter("submarine_reconcile_failures", "Looks and steps that failed", ["feature", "reason"])
LOST = Counter("submarine_reconcile_leases_lost", "Rows that another service took meanwhile", ["feature"])


def show(feature: str, claimed: Callable[[], float], backlog: Callable[[], tuple[float, float]]) -> None:
    """Let gauges of a feature be asked when somebody looks; `backlog`: rows due, and seconds since the first was."""
    CLAIMED.labels(feature).set_function(claimed)
    DUE.labels(feature).set_function(lambda: backlog()[0])
    OLDEST.labels(feature).set_function(lambda: backlog()[1])
