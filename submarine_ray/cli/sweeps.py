"""`submarine trials` and `submarine extend`: the commands of sweeps."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from submarine_ray.cli import output
from submarine_ray.cli.output import Format
from submarine_ray.cli.resources import Output

Id = Annotated[str, typer.Argument(help="the sweep: an experiment whose spec has tune")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(trials)
    app.command()(extend)


def trials(
    id: Id,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="show them live until it ends")] = False,
    form: Output = Format.TABLE,
) -> None:
    """Show a sweep's trials, the best first."""
    from submarine_ray.cli import trials as table

    if form is not Format.TABLE:
        output.document(_client().sweep(id), form)
    elif follow:
        table.watch(_client(), id)
    else:
        table.show(_client(), id)


def extend(id: Id, samples: Annotated[int, typer.Argument(min=1, help="the number of samples to add")]) -> None:
    """Add samples to a sweep that is running or has ended."""
    total = _client().extend_sweep(id, samples)["spec"]["tune"]["numSamples"]
    typer.echo(f"Extended {id} by {samples}, to {total} samples.")


def _client() -> Any:
    from submarine_ray.cli import config
    from submarine_ray.client.experiments import ExperimentClient

    return ExperimentClient(config.service_url(), patience=0)
