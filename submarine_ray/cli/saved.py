"""`submarine list|get|delete|create saved`: documents that users keep in the service."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from submarine_ray.cli import output
from submarine_ray.cli.output import Format, Problem
from submarine_ray.cli.resources import File, Output, Wait, read

Kind = Annotated[str, typer.Argument(help="the kind, such as experiment-view")]
Id = Annotated[str, typer.Argument(help="the document's id")]


def _client() -> Any:
    from submarine_ray.cli import config
    from submarine_ray.client.saved import SavedClient

    return SavedClient(config.service_url(), patience=0)


def find_view(name: str) -> dict[str, Any]:
    """A saved view of the table of experiments by its name or id: your own before the team's. Raises Problem."""
    found = [one for one in _client().list_saved() if name in (one["name"], one["id"])]
    if not found:
        raise Problem(f"there is no view {name!r}; `submarine list saved` lists them")
    return dict(min(found, key=lambda one: not one["isOwn"]))


def add_to(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    """Add the commands."""

    @list_app.command("saved")
    def list_saved(
        kind: Annotated[str, typer.Argument(help="the kind; default: views of the table")] = "experiment-view",
        form: Output = Format.TABLE,
    ) -> None:
        """List saved documents: your own, and those shared with the team."""
        found = _client().list_saved(kind)
        if form is not Format.TABLE:
            output.document(found, form)
            return
        rows = [(one["name"], one["id"], one["owner"], one["audience"], one["updatedTime"]) for one in found]
        output.table("Saved Documents", ("Name", "Id", "Owner", "Audience", "Updated Time"), rows)

    @get_app.command("saved")
    def get_saved(kind: Kind, id: Id, form: Output = Format.TABLE) -> None:
        """Show a saved document."""
        output.show(f"Saved(id = {id} )", _client().get_saved(kind, id), form)

    @delete_app.command("saved")
    def delete_saved(kind: Kind, id: Id, wait: Wait = False) -> None:
        """Delete a saved document of your own."""
        _client().delete_saved(kind, id)
        if wait:
            typer.echo(f"Saved(id = {id} ) deleted")

    @create_app.command("saved")
    def create_saved(
        kind: Kind,
        name: Annotated[str, typer.Argument(help="its name")],
        file: File,
        team: Annotated[bool, typer.Option("--team", help="share it with everyone who can use the service")] = False,
    ) -> None:
        """Save a document, such as a view of the table of experiments."""
        typer.echo(_client().create_saved(kind, name, read(file), "team" if team else "private")["id"])
