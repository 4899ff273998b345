"""What `submarine list|get|create traffic` print and read: models' shared URLs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from submarine_ray.cli import output

AWAY = 503
COLUMNS = ("Model", "Weights", "Status", "Url")
_VERSIONS = ("Version", "Status", "Wanted", "Measured", "Requests", "Errors", "p50", "p99")


def row(split: dict[str, Any]) -> Sequence[Any]:
    weights = ", ".join(f"{version}={weight}" for version, weight in split["weights"].items())
    return split["modelName"], weights, split["status"], split["invocationsUrl"]


def weights(said: Sequence[str]) -> dict[str, int]:
    """`1=90 2=10` as the service takes it. Raises Problem."""
    found: dict[str, int] = {}
    for one in said:
        version, _, weight = one.partition("=")
        if not (version.isdecimal() and weight.isdecimal()):
            raise output.Problem(f"{one!r} is not the weight of a version: write 1=90 2=10")
        found[version] = int(weight)
    return found


def read(service: Any, path: str) -> dict[str, Any]:
    """A shared URL with its `metrics`, which are null while its cluster does not answer."""
    from submarine_ray.client.errors import ApiError

    found = dict(service.call("GET", path))
    try:
        return found | {"metrics": service.call("GET", f"{path}/metrics")}
    except ApiError as failure:
        if failure.code != AWAY:
            raise
        sys.stderr.write(f"{failure}\n")
        return found | {"metrics": None}


def show(found: dict[str, Any]) -> None:
    """A shared URL with its load, and each version's."""
    metrics = found["metrics"]
    output.table("Shared URL", COLUMNS, [row(found)])
    if metrics is None:
        return
    rows = [
        (one["version"], one["status"] or "Gone", _percent(one["wanted"]), _percent(one["share"]), *_load(one))
        for one in metrics["versions"]
    ]
    output.table("Its versions, since the weights were set", _VERSIONS, rows)
    if not metrics["known"]:
        sys.stdout.write("The cluster's metrics cannot be read from the service.\n")
        return
    rate, (requests, errors, p50, p99) = metrics["requestsPerSecond"], _load(metrics)
    lately = "" if rate is None else f"; {rate:.3g} requests per second in the last half minute"
    sys.stdout.write(f"Requests so far: {requests}, errors: {errors}, p50: {p50}, p99: {p99}{lately}.\n")


def _load(rates: dict[str, Any]) -> tuple[int, int, str, str]:
    return rates["requests"], rates["errors"], _ms(rates["latency"]["p50"]), _ms(rates["latency"]["p99"])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms"
