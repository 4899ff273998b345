"""The load of an endpoint or of a shared URL, in figures, tables and charts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from submarine_ray.spec.answers.serving import EndpointMetrics, EndpointRates, Latency, TrafficMetrics, TrafficShare
from submarine_ray.spec.serving import EndpointStatus
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.line_chart import LineChart, Look, Series
from submarine_ray.workbench.query_cache import Asked

_BY_TIME = Look("time", "time")
LOAD_SECONDS = 4.0  # with the ten of Ray's own reports, a request is seen within fifteen
_UNTOLD = EndpointMetrics(
    requests=0, errors=0, requests_per_second=None, errors_per_second=None,
    latency=Latency(p50=None, p90=None, p99=None), history=[], known=True,
)  # fmt: skip
_SHARES = (
    parts.Column("label", "Version", "link"),
    parts.Column("status", "Status", "status", wide=True),
    parts.Column("weight", "Weight", wide=True, right=True),
    parts.Column("wanted", "Target share", right=True),
    parts.Column("share", "Actual share", right=True),
    parts.Column("requests", "Requests", right=True),
    parts.Column("errors", "Errors", right=True),
    parts.Column("p50", "p50", wide=True, right=True),
    parts.Column("p99", "p99", wide=True, right=True),
)


def state(status: str) -> str:
    """The colour of an endpoint's status: one that runs is well, not under way."""
    return "good" if status == EndpointStatus.RUNNING else parts.state(status)


def latency(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g} ms" if value < 1000 else f"{value / 1000:,.3g} s"


def per_second(value: float | None) -> str:
    return "–" if value is None else f"{value:,.3g}/s"


def _count(found: EndpointMetrics | TrafficMetrics, count: int) -> str:
    return "–" if found is _UNTOLD else f"{count:,}"


def percent(share: float | None) -> str:
    """A share in percent: one digit after the point where it says something."""
    return "–" if share is None else f"{100 * share:.1f}".removesuffix(".0") + "%"


def cells(rates: EndpointRates | None) -> parts.Row:
    """What a table shows of rates: of the last half minute."""
    if rates is None:
        return dict.fromkeys(("requests", "errors", "p50", "p99"), "–")
    return {
        "requests": per_second(rates.requests_per_second),
        "errors": per_second(rates.errors_per_second),
        "p50": latency(rates.latency.p50),
        "p99": latency(rates.latency.p99),
    }


def draw_shares(model_name: str, shares: Sequence[TrafficShare]) -> None:
    """The versions behind a shared URL, and what each has got since the weights were set."""
    rows: list[parts.Row] = [
        {
            "version": one.version,
            "label": f"v{one.version}",
            "href": addresses.endpoint(model_name, one.version) if one.status else addresses.model(model_name),
            "status": one.status or "Gone",
            "state": state(one.status) if one.status else "bad",
            "weight": one.weight,
            "wanted": percent(one.wanted),
            "share": percent(one.share),
            "requests": f"{one.requests:,}",
            "errors": f"{one.errors:,}",
            "p50": latency(one.latency.p50),
            "p99": latency(one.latency.p99),
        }
        for one in shares
    ]
    parts.table(_SHARES, rows, "version", "Versions behind the shared URL")


Found = EndpointMetrics | TrafficMetrics | None
Charts = dict[str, LineChart]  # by their labels


def later(
    content: ui.element,
    is_readable: bool,
    look: Callable[Asked, Awaitable[Found]],
    *arguments: Asked.args,
    **options: Asked.kwargs,
) -> parts.Refresh:
    """Figures, and charts of the last half hour, once the cluster has told them; answers what brings them up to date.

    They have their place from the beginning, so that nothing on the page moves then. `is_readable`: whether the
    cluster tells them at all.
    """
    if not is_readable:
        return parts.redrawn_later(content, _draw_unreadable, look, *arguments, **options)
    charts: Charts = {}
    with content:
        _draw(_UNTOLD, charts)
    return parts.redrawn_later(content, lambda found: _draw_told(found, charts), look, *arguments, **options)


def _draw_unreadable(_found: Found) -> None:
    with parts.card():
        said = "Request metrics of this cluster are in its own Prometheus. They cannot be shown here."
        parts.text(said, "p", "quiet")


def _draw_told(found: Found, charts: Charts) -> None:
    if found is not None and found.known:
        _draw(found, charts)
        return
    _draw(_UNTOLD, charts)
    parts.text("The cluster is not responding.", "p", "quiet")


def _draw_chart(label: str, series: Sequence[Series], charts: Charts) -> None:
    """Draw a chart in place of the one before it, whose zoom it keeps."""
    before = charts.get(label)
    charts[label] = LineChart(label, zoom=before.zoom if before else None)
    charts[label].draw(series, _BY_TIME)


def _draw(found: EndpointMetrics | TrafficMetrics, charts: Charts) -> None:
    with ui.element("div").classes("tiles small"):
        for label, value in (
            ("Requests", per_second(found.requests_per_second)),
            ("Errors", per_second(found.errors_per_second)),
            ("p50", latency(found.latency.p50)),
            ("p90", latency(found.latency.p90)),
            ("p99", latency(found.latency.p99)),
            ("Total requests", _count(found, found.requests)),
            ("Total errors", _count(found, found.errors)),
        ):
            with parts.card(classes="figure"):
                parts.text(value, classes="number")
                parts.text(label, classes="quiet small")
    history = found.history
    times = [point.time for point in history]
    with ui.element("div").classes("tiles wide"):
        with parts.card("Requests per second"):
            asked = [
                Series("requests", times, [point.requests_per_second for point in history]),
                Series("errors", times, [point.errors_per_second for point in history]),
            ]
            _draw_chart("Requests and errors per second", asked, charts)
        with parts.card("Latency (ms)"):
            slow = [
                Series("p50", times, [point.latency.p50 for point in history]),
                Series("p90", times, [point.latency.p90 for point in history]),
                Series("p99", times, [point.latency.p99 for point in history]),
            ]
            _draw_chart("Latency percentiles", slow, charts)
