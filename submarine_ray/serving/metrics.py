"""Requests, errors and latency of endpoints, from Serve's own Prometheus metrics.

Pure functions, and the little memory that rates need. Source: `ray_serve_http_request_latency_ms`, a histogram by
application, method and status code (Ray 2.60, `ray/serve/_private/proxy.py`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

from prometheus_client.parser import text_string_to_metric_families

from submarine_ray.spec.answers.serving import EndpointMetrics, EndpointRates, Latency, TrafficPoint

FAMILY = "ray_serve_http_request_latency_ms_bucket"
# What our splitter hands on (serve_apps/traffic.py): Serve counts that for the shared URL, and for no version.
SPLIT_FAMILY = "ray_submarine_traffic_latency_ms_bucket"
# Ray exports its metrics every ten seconds: over less, a rate would jump between nothing and twice.
WINDOW_SECONDS = 30.0
KEPT = 180  # half an hour, one every ten seconds
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Counts:
    """Cumulative counts at a moment: errors, and requests by latency (`buckets`: upper bound in ms to count)."""

    at: float
    buckets: Mapping[float, float] = field(default_factory=dict)
    errors: float = 0.0

    @property
    def requests(self) -> float:
        return self.buckets.get(inf, 0.0)

    def since(self, before: Counts) -> Counts:
        """The counts since `before`. Counters that are smaller were reset: then their whole value counts."""
        if self.requests < before.requests:
            return self
        buckets = {bound: number - before.buckets.get(bound, 0.0) for bound, number in self.buckets.items()}
        return Counts(self.at, buckets, max(0.0, self.errors - before.errors))


def share_name(application: str, version: str | int, weights: str) -> str:
    """The name that a version's part of split traffic is kept by, under the weights of one moment."""
    return f"{application}/{version}@{weights}"


def counts(texts: Iterable[str], at: float) -> dict[str, Counts]:
    """What has passed for each application, and for each version's part of split traffic (`share_name`).

    Predictions, which are POSTs; probes are not counted. What the splitter hands to a version counts for its endpoint,
    too.
    """
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    errors: dict[str, float] = defaultdict(float)
    for text in texts:
        lines = "".join(line for line in text.splitlines(keepends=True) if line.startswith((FAMILY, SPLIT_FAMILY)))
        for family in text_string_to_metric_families(lines):
            for sample in family.samples:
                if "le" not in sample.labels or not isfinite(sample.value):  # whoever runs there may use our names
                    continue
                bound = float(sample.labels["le"])
                for name in _counted_as(sample.name, sample.labels):
                    buckets[name][bound] += sample.value
                    if bound == inf and sample.labels.get("status_code", "200") >= "400":
                        errors[name] += sample.value
    return {name: Counts(at, dict(found), errors[name]) for name, found in buckets.items()}


def _counted_as(family: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    application = labels.get("application")
    if not application:
        return ()
    if family == SPLIT_FAMILY:
        part = share_name(application, labels.get("version", ""), labels.get("weights", ""))
        return labels.get("endpoint", ""), part
    return (application,) if labels.get("method") == "POST" else ()


def quantile(share: float, passed: Counts) -> float | None:
    """The latency quantile `share` in ms, as Prometheus' histogram_quantile estimates it."""
    if passed.requests <= 0:
        return None
    rank, below, low = share * passed.requests, 0.0, 0.0
    for bound in sorted(passed.buckets):
        number = passed.buckets[bound]
        if number >= rank:
            if bound == inf:
                return low
            return low + (bound - low) * (rank - below) / (number - below) if number > below else bound
        below, low = number, bound
    return low


class History:
    """The counts of one endpoint over the last half hour."""

    def __init__(self, found: Iterable[Counts] = ()) -> None:
        self._kept: deque[Counts] = deque(found, maxlen=KEPT)

    def add(self, found: Counts) -> None:
        self._kept.append(found)

    def now(self) -> EndpointRates:
        """The last half minute, and everything."""
        kept = list(self._kept)
        whole = kept[-1] if kept else Counts(0.0)
        last = _rates(kept, len(kept) - 1) if len(kept) > 1 else None
        return EndpointRates(
            requests=int(whole.requests),
            errors=int(whole.errors),
            requests_per_second=last.requests_per_second if last else None,
            errors_per_second=last.errors_per_second if last else None,
            # Without a request lately, how fast they were answered before.
            latency=last.latency if last and last.latency.p50 is not None else _latency(whole),
        )

    def metrics(self, known: bool = True) -> EndpointMetrics:
        """The same, and the history. `known`: whether the cluster's metrics can be had."""
        kept = list(self._kept)
        history = [_rates(kept, number) for number in range(1, len(kept))]
        return EndpointMetrics(**dict(self.now()), history=history, known=known)


def _rates(kept: Sequence[Counts], number: int) -> TrafficPoint:
    """What passed in the window that ends with the `number`th."""
    last = kept[number]
    begin = next(one for one in kept if last.at - one.at <= WINDOW_SECONDS or one is kept[number - 1])
    passed, seconds = last.since(begin), max(last.at - begin.at, 0.001)
    return TrafficPoint(
        time=int(last.at * 1000),
        requests_per_second=round(passed.requests / seconds, 3),
        errors_per_second=round(passed.errors / seconds, 3),
        latency=_latency(passed),
    )


def _latency(passed: Counts) -> Latency:
    p50, p90, p99 = (quantile(share, passed) for share in QUANTILES)
    return Latency(p50=_rounded(p50), p90=_rounded(p90), p99=_rounded(p99))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
