"""`submarine trials`: a sweep's trials, and the best so far while it runs."""

from __future__ import annotations

import sys
import time
from typing import Any

from submarine_ray.cli import output
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.trials import metric_label

LOOK_SECONDS = 1.0
SHOWN_WHILE_RUNNING = 20  # what fits on a terminal, below a line that must stay in sight


def show(client: ExperimentClient, id: str) -> None:
    """All trials, the best first, and which is the best."""
    sweep = client.sweep(id)
    if "metric" not in sweep:
        raise output.Problem(f"{id} is not a sweep: its spec has no tune")
    output.table(f"Trials of {id}", columns(sweep), rows(sweep))
    sys.stdout.write(f"{best_line(sweep)}\n")


def watch(client: ExperimentClient, id: str) -> None:
    """The same, drawn again while it changes, until the sweep has ended."""
    from rich.console import Console
    from rich.live import Live

    if not sys.stdout.isatty():
        client_wait(client, id)
        show(client, id)
        return
    with Live(console=Console(), auto_refresh=False, transient=True) as live:
        while True:
            experiment = client.get_experiment(id)
            sweep = client.sweep(id)
            title = f"Trials of {id} ({ExperimentStatus.seen_of(experiment)})"
            drawn = output.drawn(title, columns(sweep), rows(sweep)[:SHOWN_WHILE_RUNNING])
            drawn.caption, drawn.caption_justify = best_line(sweep), "left"
            live.update(drawn, refresh=True)
            if experiment["status"] in ExperimentStatus.ENDED:
                break
            time.sleep(LOOK_SECONDS)
    show(client, id)


def client_wait(client: ExperimentClient, id: str) -> None:
    """Until the sweep has ended, well or not."""
    from submarine_ray.client.errors import ExperimentFailed

    try:
        client.wait_for_finish(id)
    except ExperimentFailed as failure:
        sys.stderr.write(f"{id} {ExperimentStatus.seen_of(failure.experiment)}: {failure.experiment['message']}\n")


def columns(sweep: dict[str, Any]) -> tuple[str, ...]:
    params = _params(sweep)
    return ("#", "Trial", "Status", *params, *(metric_label(name, params) for name in _metrics(sweep)), "Seconds")


def rows(sweep: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (
            trial["number"],
            trial["trialId"],
            trial["status"],
            *(_short(trial["params"].get(name)) for name in _params(sweep)),
            *(_short(trial["metrics"].get(name)) for name in _metrics(sweep)),
            _short(trial["seconds"]),
        )
        for trial in sweep["trials"]
    ]


def best_line(sweep: dict[str, Any]) -> str:
    ended = sum(trial["status"] != "Running" for trial in sweep["trials"])
    counted = f"{ended} of {sweep.get('total', 0)} trials have ended"
    if not sweep["best"]:
        return f"No trial has reported a finite {sweep.get('metric')} yet; {counted}."
    best, metric = sweep["best"], sweep["metric"]
    params = ", ".join(f"{name}={_short(value)}" for name, value in best["params"].items())
    return f"Best: trial {best['trialId']}, {metric}={_short(best['metrics'][metric])} with {params}; {counted}."


def _params(sweep: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for trial in sweep["trials"] for name in trial["params"]))


def _metrics(sweep: dict[str, Any]) -> list[str]:
    """The sweep's own metric first."""
    found = dict.fromkeys(name for trial in sweep["trials"] for name in trial["metrics"])
    first = sweep.get("metric")
    return [name for name in (first, *(name for name in found if name != first)) if name in found]


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
