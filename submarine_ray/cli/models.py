"""`submarine list|get|delete|create` of models, their versions and aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from submarine_ray.cli import output
from submarine_ray.cli.output import Format, Problem
from submarine_ray.cli.resources import Output, Wait, connect, print_list, resource_path

Model = Annotated[str, typer.Argument(help="the model, or a version of it: NAME/VERSION, NAME@ALIAS or models:/...")]
Which = Annotated[str | None, typer.Argument(help="the version's number, or an alias")]


def reference(model: str, version: str | None) -> Any:
    """Which version is meant. Raises Problem."""
    from submarine_ray.spec.references import model_reference

    try:
        return model_reference(model, version)
    except ValueError as failure:
        raise Problem(str(failure)) from failure


def add_to(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    """Add the commands."""
    _models(list_app, get_app, delete_app)
    _versions(list_app, get_app)
    _aliases(list_app, get_app, delete_app, create_app)


def _models(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer) -> None:
    @list_app.command("model")
    def list_model(form: Output = Format.TABLE) -> None:
        """List registered models."""
        print_list(
            "/api/v1/registered-model", "List of Models", ("Name", "Tags", "Last Updated Time", "Description"),
            lambda m: (m["name"], ",".join(m["tags"]), m["lastUpdatedTime"], m["description"]), form,
        )  # fmt: skip

    @get_app.command("model")
    def get_model(name: str, form: Output = Format.TABLE) -> None:
        """Show a registered model and its versions."""
        service = connect()
        found = service.call("GET", resource_path("registered-model", name))
        found["versions"] = service.call("GET", resource_path("model-version", name))
        output.show(f"Model(name = {name} )", found, form)

    @delete_app.command("model")
    def delete_model(name: str, wait: Wait = False) -> None:
        """Delete a registered model with its versions."""
        connect().call("DELETE", resource_path("registered-model", name))
        if wait:
            typer.echo(f"Model(name = {name} ) deleted")


def _versions(list_app: typer.Typer, get_app: typer.Typer) -> None:
    @list_app.command("version")
    def list_version(model: Annotated[str, typer.Argument(help="the model")], form: Output = Format.TABLE) -> None:
        """List a model's versions."""
        print_list(
            resource_path("model-version", model), "List of Versions",
            ("Version", "Stage", "Aliases", "Experiment", "Created Time"), _row, form,
        )  # fmt: skip

    def _row(version: dict[str, Any]) -> Sequence[Any]:
        aliases = ", ".join(version.get("aliases", ()))
        return version["version"], version["currentStage"], aliases, version["experimentId"], version["creationTime"]

    @get_app.command("version")
    def get_version(model: Model, version: Which = None, form: Output = Format.TABLE) -> None:
        """Show a version of a model: `submarine get version MODEL@champion`."""
        which = reference(model, version)
        path = (
            _alias_path(which.name, which.alias)
            if which.alias
            else f"{resource_path('model-version', which.name)}/{which.version}"
        )
        service = connect()
        found = service.call("GET", path)
        version_path = f"{resource_path('model-version', which.name)}/{found['version']}"
        for part in ("details", "lineage"):
            found |= service.call("GET", f"{version_path}/{part}")
        if form is Format.TABLE and found["ran"]:
            found["ran"].pop("packages")  # hundreds of lines, which `-o json` has
        output.show(f"Version(model = {which.name}, version = {found['version']} )", found, form)


def promote(
    model: Model,
    version: Which = None,
    stage: Annotated[str, typer.Option(help="None, Developing, Production or Archived")] = "Production",
    archive: Annotated[bool, typer.Option("--archive", help="archive the versions that are in that stage now")] = False,
) -> None:
    """Move a model version to a stage: `submarine promote MODEL@challenger --archive`. It deploys nothing."""
    which = reference(model, version)
    service = connect()
    found = {one["version"]: one for one in service.call("GET", resource_path("model-version", which.name))}
    number = which.version
    if which.alias:
        number = service.call("GET", _alias_path(which.name, which.alias))["version"]
    moves = {number: stage}
    if archive:
        there = [one for one in found.values() if one["currentStage"].lower() == stage.lower()]
        moves |= {one["version"]: "Archived" for one in there if one["version"] != number}
    for moved, to in moves.items():
        body = {"name": which.name, "version": moved, "currentStage": to}
        service.call("PATCH", "/api/v1/model-version", json=body)
        typer.echo(f"{which.name} version {moved}: {found[moved]['currentStage']} -> {to}")
    typer.echo("Endpoints and the weights of shared URLs do not change.")


def _alias_path(model: str, alias: str) -> str:
    from urllib.parse import quote

    return f"{resource_path('registered-model', model)}/alias/{quote(alias, safe='')}"


def _aliases(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    @list_app.command("alias")
    def list_alias(model: Annotated[str, typer.Argument(help="the model")], form: Output = Format.TABLE) -> None:
        """List a model's aliases, and the version that each names."""
        found = connect().call("GET", resource_path("registered-model", model)).get("aliases", {})
        if form is Format.TABLE:
            output.table("List of Aliases", ("Alias", "Version"), found.items())
        else:
            output.document(found, form)

    @get_app.command("alias")
    def get_alias(model: str, alias: str, form: Output = Format.TABLE) -> None:
        """Show the version that an alias names."""
        output.show(f"Alias(model = {model}, alias = {alias} )", connect().call("GET", _alias_path(model, alias)), form)

    @create_app.command("alias")
    def create_alias(model: str, alias: str, version: int) -> None:
        """Set an alias of a version, or move it there: `submarine create alias MODEL champion 3`."""
        connect().call("PUT", _alias_path(model, alias), json={"version": version})
        typer.echo(f"{model}@{alias} is version {version}. Endpoints keep the versions that they serve.")

    @delete_app.command("alias")
    def delete_alias(model: str, alias: str, wait: Wait = False) -> None:
        """Remove an alias; its version stays."""
        connect().call("DELETE", _alias_path(model, alias))
        if wait:
            typer.echo(f"Alias(model = {model}, alias = {alias} ) deleted")
