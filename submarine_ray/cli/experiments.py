"""`submarine list experiment` and `submarine bulk`: many experiments, listed and changed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from submarine_ray.cli import saved
from submarine_ray.cli.output import Format
from submarine_ray.cli.resources import Output
from submarine_ray.spec.actions import BulkAction


def _client() -> Any:
    from submarine_ray.cli import config
    from submarine_ray.client.experiments import ExperimentClient

    return ExperimentClient(config.service_url(), patience=0)


def add_to(app: typer.Typer, list_app: typer.Typer) -> None:
    """Add the commands."""

    @list_app.command("experiment")
    def list_experiment(
        status: Annotated[
            str | None, typer.Option(help="only those in this state: Running, Failed, Stopped and so on")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
        filter: Annotated[str, typer.Option(help="a condition, as in 'metrics.loss < 0.1 and tag = demo'")] = "",
        sort: Annotated[str, typer.Option(help="the field to sort by; '-' before it sorts the highest first")] = "",
        column: Annotated[
            list[str] | None, typer.Option(help="show metrics.NAME or params.NAME (several times)")
        ] = None,
        group_by: Annotated[str, typer.Option(help="status, tag, owner, framework, cluster, name or params.NAME")] = "",
        view: Annotated[str, typer.Option(help="a saved view, by its name or id; other options override it")] = "",
        form: Output = Format.TABLE,
    ) -> None:
        """List experiments, newest first, or groups of them."""
        from submarine_ray.cli import tables

        asked = tables.Asked(status, filter, sort, tuple(column or ()), group_by, limit)
        if view:
            asked = tables.of_view(asked, saved.find_view(view))
        if asked.by:
            tables.grouped(_client(), asked, form)
        elif asked.filter or asked.sort or asked.columns:
            tables.logged(_client(), asked, form)
        else:
            tables.experiments(_client(), status, limit, form)

    @app.command()
    def bulk(
        action: Annotated[BulkAction, typer.Argument(help="tag, untag, stop or delete")],
        tag: Annotated[str | None, typer.Argument(help="the tag to add or remove, with tag and untag")] = None,
        filter: Annotated[
            str | None, typer.Option(help="change all experiments that match, as in 'val/loss > 10'")
        ] = None,
        id: Annotated[list[str] | None, typer.Option(help="change this experiment (several times)")] = None,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")] = False,
    ) -> None:
        """Tag, stop or delete many experiments: `submarine bulk tag diverged --filter 'val/loss > 10'`."""
        from submarine_ray.cli import bulk as many

        many.change(_client(), action, tag, filter, id, yes)
