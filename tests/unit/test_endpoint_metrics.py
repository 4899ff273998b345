"""Requests, errors and latency from Serve's Prometheus metrics."""

from __future__ import annotations

import pytest

from submarine_ray.serving.metrics import Counts, History, counts, quantile

BOUNDS = ("1.0", "10.0", "100.0", "+Inf")


def prometheus(passed: dict[str, tuple[int, int, int, int]], method: str = "POST", application: str = "m-1") -> str:
    """As Ray writes it: for each status code, how many requests were below each bound."""
    lines = ["# HELP ray_serve_http_request_latency_ms x", "ray_serve_deployment_replica_healthy 1.0"]
    for code, numbers in passed.items():
        for bound, number in zip(BOUNDS, numbers, strict=True):
            labels = f'application="{application}",le="{bound}",method="{method}",route="/m/1",status_code="{code}"'
            lines.append(f"ray_serve_http_request_latency_ms_bucket{{{labels}}} {number}.0")
    return "\n".join(lines) + "\n"


def test_requests_and_errors_of_all_proxies_are_counted_and_probes_are_not() -> None:
    texts = [
        prometheus({"200": (0, 8, 10, 10), "400": (0, 1, 1, 1)}) + prometheus({"200": (9, 9, 9, 9)}, method="GET"),
        prometheus({"200": (0, 2, 2, 2)}) + prometheus({"500": (0, 0, 3, 4)}, application="other-1"),
    ]
    found = counts(texts, 100.0)
    assert (found["m-1"].requests, found["m-1"].errors) == (13, 1)
    assert found["m-1"].buckets[10.0] == 11
    assert (found["other-1"].requests, found["other-1"].errors) == (4, 4)


# 100 requests: 80 within 10 ms, 18 more within 100 ms, and 2 that took longer.
PASSED = Counts(0.0, {1.0: 0.0, 10.0: 80.0, 100.0: 98.0, float("inf"): 100.0}, 0.0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.4, 5.5), (0.8, 10.0), (0.89, 55.0), (0.99, 100.0)],  # beyond the last bound: that bound
)
def test_a_quantile_lies_within_its_bucket_as_prometheus_says(share: float, expected: float) -> None:
    assert quantile(share, PASSED) == pytest.approx(expected)


def test_without_requests_there_is_no_latency() -> None:
    assert quantile(0.5, Counts(0.0)) is None


def at(time: float, requests: int, errors: int = 0) -> Counts:
    return Counts(time, {10.0: requests, float("inf"): requests}, errors)


def test_rates_are_of_the_last_half_minute() -> None:
    history = History()
    for number, requests in enumerate((0, 100, 400, 700, 1000)):
        history.add(at(number * 10.0, requests, errors=number))
    found = history.metrics()
    assert (found.requests, found.errors) == (1000, 4)
    assert found.requests_per_second == 30.0  # 100 to 1000 in 30 s
    assert found.errors_per_second == 0.1
    assert [point.requests_per_second for point in found.history] == [10.0, 20.0, 23.333, 30.0]


def test_a_restarted_proxy_begins_anew_without_a_negative_rate() -> None:
    history = History()
    history.add(at(0.0, 5000))
    history.add(at(10.0, 50))
    assert history.metrics().requests_per_second == 5.0


def test_a_gap_in_the_looks_is_one_long_window() -> None:
    history = History()
    history.add(at(0.0, 0))
    history.add(at(600.0, 1200))
    assert history.metrics().requests_per_second == 2.0


def test_after_one_look_there_is_no_rate_but_the_whole_latency() -> None:
    history = History()
    history.add(at(0.0, 100))
    found = history.metrics()
    assert (found.requests_per_second, found.history) == (None, [])
    assert found.latency.p50 == 5.0


def split(passed: dict[tuple[str, str, str], tuple[int, int, int, int]]) -> str:
    """What the splitter writes: for each version, name of the weights, and status code."""
    lines = []
    for (version, weights, code), numbers in passed.items():
        for bound, number in zip(BOUNDS, numbers, strict=True):
            labels = (
                f'application="traffic:m",deployment="traffic",endpoint="m-{version}",le="{bound}",replica="a",'
                f'status_code="{code}",version="{version}",weights="{weights}"'
            )
            lines.append(f"ray_submarine_traffic_latency_ms_bucket{{{labels}}} {number}.0")
    return "\n".join(lines) + "\n"


def test_what_a_version_gets_by_the_shared_url_counts_for_it_and_under_the_weights_of_then() -> None:
    texts = [
        prometheus({"200": (0, 5, 5, 5)})  # by its own URL
        + prometheus({"200": (0, 9, 9, 9), "500": (0, 0, 1, 1)}, application="traffic:m")
        + split({("1", "old", "200"): (0, 3, 3, 3), ("1", "new", "200"): (0, 4, 4, 4)}),
        split({("2", "new", "200"): (0, 2, 2, 2), ("2", "new", "500"): (0, 0, 1, 1)}),  # a splitter on another node
    ]
    found = counts(texts, 100.0)
    passed = {name: (one.requests, one.errors) for name, one in found.items()}
    assert passed == {
        "m-1": (12, 0),
        "m-2": (3, 1),
        "traffic:m": (10, 1),
        "traffic:m/1@old": (3, 0),
        "traffic:m/1@new": (4, 0),
        "traffic:m/2@new": (3, 1),
    }
    assert found["m-1"].buckets[10.0] == 12


def test_what_others_write_under_our_names_is_passed_over() -> None:
    name = 'ray_serve_http_request_latency_ms_bucket{application="m-1",method="POST"'
    strange = f'{name},le="+Inf"}} NaN\n{name},le="+Inf"}} 1e400\n{name}}} 3\n'
    found = counts([strange, prometheus({"200": (0, 2, 2, 2)})], 100.0)
    assert History([found["m-1"]]).now().requests == 2
