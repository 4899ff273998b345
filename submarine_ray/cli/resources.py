"""`submarine list|get|delete|create` of environments, templates, endpoints and notebooks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from submarine_ray.cli import output, traffic
from submarine_ray.cli.output import Format, Problem

Output = Annotated[Format, typer.Option("--output", "-o", help="output format")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="print the result")]
File = Annotated[Path, typer.Option("-f", "--file", help="the spec, YAML or JSON")]


def connect() -> Any:
    """The control service that the command line is told to use."""
    from submarine_ray.cli import config
    from submarine_ray.client.http import Service

    return Service(config.service_url(), patience=0)


def read(file: Path) -> Any:
    """A document from a YAML or JSON file, or from standard input: `-`. Raises Problem."""
    from submarine_ray.spec import documents

    try:
        content = sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
        return documents.load(content)  # JSON is YAML
    except (OSError, documents.NotYaml) as failure:
        raise Problem(f"{file} cannot be read: {failure}") from failure


def print_list(
    path: str, title: str, columns: Sequence[str], row: Callable[[dict[str, Any]], Sequence[Any]], form: Format
) -> None:
    """Print what a path of the API lists, a row for each."""
    found = connect().call("GET", path)
    if form is Format.TABLE:
        output.table(title, columns, map(row, found))
    else:
        output.document(found, form)


def _show(path: str, title: str, form: Format) -> None:
    output.show(title, connect().call("GET", path), form)


def resource_path(base: str, name: str) -> str:
    """Where a thing is in the REST API."""
    from urllib.parse import quote

    return f"/api/v1/{base}/{quote(name, safe='')}"


def add_to(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    """Add the commands of each kind."""
    _attempts(list_app)
    _environments(list_app, get_app, delete_app, create_app)
    _templates(list_app, get_app, delete_app, create_app)
    _endpoints(list_app, get_app, delete_app, create_app)
    _traffic(list_app, get_app, delete_app, create_app)
    _notebooks(list_app, get_app, delete_app, create_app)

    @list_app.command("deletion")
    def list_deletion(form: Output = Format.TABLE) -> None:
        """List the last hundred deletions, and who made them."""
        columns = ("Time", "Kind", "Id", "Name", "By")
        print_list(
            "/api/v1/deletion", "List of Deletions", columns,
            lambda d: (d["time"], d["kind"], d["id"], d["name"], d["by"]), form,
        )  # fmt: skip


def _attempts(list_app: typer.Typer) -> None:
    @list_app.command("attempt")
    def list_attempt(id: Annotated[str, typer.Argument(help="the experiment")], form: Output = Format.TABLE) -> None:
        """List an experiment's attempts, the first one first."""
        from submarine_ray.spec.experiment import ExperimentStatus

        print_list(
            f"{resource_path('experiment', id)}/attempts", "List of Attempts",
            ("Attempt", "Status", "Running Time", "Finished Time", "Message"),
            lambda a: (a["attempt"], ExperimentStatus.seen_of(a), a["runningTime"], a["finishedTime"], a["message"]),
            form,
        )  # fmt: skip


def _environments(
    list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer
) -> None:
    @list_app.command("environment")
    def list_environment(form: Output = Format.TABLE) -> None:
        """List environments."""
        print_list(
            "/api/v1/environment", "List of Environments", ("Name", "Id", "dockerImage"),
            lambda e: (e["environmentSpec"]["name"], e["environmentId"], e["environmentSpec"]["dockerImage"]), form,
        )  # fmt: skip

    @get_app.command("environment")
    def get_environment(name: str, form: Output = Format.TABLE) -> None:
        """Show an environment."""
        _show(resource_path("environment", name), f"Environment(name = {name} )", form)

    @delete_app.command("environment")
    def delete_environment(name: str, wait: Wait = False) -> None:
        """Delete an environment; what runs in it goes on."""
        connect().call("DELETE", resource_path("environment", name))
        if wait:
            typer.echo(f"Environment(name = {name} ) deleted")

    @create_app.command("environment")
    def create_environment(file: File) -> None:
        """Create an environment."""
        typer.echo(connect().call("POST", "/api/v1/environment", json=read(file))["environmentSpec"]["name"])


def _templates(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    @list_app.command("template")
    def list_template(form: Output = Format.TABLE) -> None:
        """List templates."""
        print_list("/api/v1/template", "List of Templates", ("Name", "Author", "Parameters", "Description"), _row, form)

    def _row(template: dict[str, Any]) -> Sequence[Any]:
        spec = template["experimentTemplateSpec"]
        own = [p["name"] for p in spec["parameters"] if not p["name"].startswith("spec.")]
        return spec["name"], spec["author"], ", ".join(own), spec["description"]

    @get_app.command("template")
    def get_template(name: str, form: Output = Format.TABLE) -> None:
        """Show a template."""
        _show(resource_path("template", name), f"Template(name = {name} )", form)

    @delete_app.command("template")
    def delete_template(name: str, wait: Wait = False) -> None:
        """Delete a template; experiments made from it stay."""
        connect().call("DELETE", resource_path("template", name))
        if wait:
            typer.echo(f"Template(name = {name} ) deleted")

    @create_app.command("template")
    def create_template(file: File) -> None:
        """Create a template."""
        typer.echo(connect().call("POST", "/api/v1/template", json=read(file))["experimentTemplateSpec"]["name"])


def _endpoints(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    @list_app.command("serve")
    def list_serve(form: Output = Format.TABLE) -> None:
        """List endpoints."""
        print_list(
            "/api/v1/serve", "List of Endpoints", ("Model", "Version", "Status", "Url"),
            lambda e: (e["modelName"], e["modelVersion"], e["status"], e["invocationsUrl"]), form,
        )  # fmt: skip
        if form is Format.TABLE and (splits := connect().call("GET", "/api/v1/serve/traffic")):
            output.table("Shared URLs", traffic.COLUMNS, map(traffic.row, splits))

    @get_app.command("serve")
    def get_serve(model: str, version: int, form: Output = Format.TABLE) -> None:
        """Show an endpoint and its history."""
        _show(f"{resource_path('serve', model)}/{version}", f"Serve(model = {model}, version = {version} )", form)

    @create_app.command("serve")
    def create_serve(
        model: Annotated[str, typer.Argument(help="the model; or NAME@ALIAS, or models:/NAME@ALIAS")],
        version: Annotated[str | None, typer.Argument(help="its number, or an alias")] = None,
    ) -> None:
        """Serve a model version."""
        from submarine_ray.cli.models import reference

        which = reference(model, version)
        named = {"modelAlias": which.alias} if which.alias else {"modelVersion": which.version}
        body = {"modelName": which.name, **named}
        output.document(connect().call("POST", "/api/v1/serve", json=body), Format.JSON)

    @delete_app.command("serve")
    def delete_serve(model: str, version: int, wait: Wait = False) -> None:
        """Stop serving a model version."""
        connect().call("DELETE", "/api/v1/serve", json={"modelName": model, "modelVersion": version})
        if wait:
            typer.echo(f"Serve(model = {model}, version = {version} ) deleted")


def _traffic(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    @list_app.command("traffic")
    def list_traffic(form: Output = Format.TABLE) -> None:
        """List the shared URLs of models whose requests are split between versions."""
        print_list("/api/v1/serve/traffic", "Shared URLs", traffic.COLUMNS, traffic.row, form)

    @get_app.command("traffic")
    def get_traffic(model: str, form: Output = Format.TABLE) -> None:
        """Show a model's shared URL: its load, and the share, errors and latency of each version."""
        found = traffic.read(connect(), f"{resource_path('serve', model)}/traffic")
        traffic.show(found) if form is Format.TABLE else output.document(found, form)

    @create_app.command("traffic")
    def create_traffic(
        model: str, weights: Annotated[list[str], typer.Argument(help="a weight for each version: 1=90 2=10")]
    ) -> None:
        """Split a model's requests between its served versions, or change the weights."""
        body = {"weights": traffic.weights(weights)}
        output.document(connect().call("PUT", f"{resource_path('serve', model)}/traffic", json=body), Format.JSON)

    @delete_app.command("traffic")
    def delete_traffic(model: str, wait: Wait = False) -> None:
        """End a traffic split; each version's own URL stays."""
        connect().call("DELETE", f"{resource_path('serve', model)}/traffic")
        if wait:
            typer.echo(f"Traffic(model = {model} ) deleted")


def _notebooks(list_app: typer.Typer, get_app: typer.Typer, delete_app: typer.Typer, create_app: typer.Typer) -> None:
    @list_app.command("notebook")
    def list_notebook(
        owner: Annotated[str | None, typer.Option(help="only notebooks of this ownerId")] = None,
        form: Output = Format.TABLE,
    ) -> None:
        """List notebooks."""
        from urllib.parse import quote

        print_list(
            f"/api/v1/notebook?id={quote(owner, safe='')}" if owner else "/api/v1/notebook",
            "List of Notebooks", ("Name", "ID", "Environment", "Resources", "Status"),
            lambda n: (n["name"], n["notebookId"], n["spec"]["environment"]["name"],
                       n["spec"]["spec"]["resources"], n["status"]), form,
        )  # fmt: skip

    @get_app.command("notebook")
    def get_notebook(id: str, form: Output = Format.TABLE) -> None:
        """Show a notebook."""
        _show(resource_path("notebook", id), f"Notebook(id = {id} )", form)

    @delete_app.command("notebook")
    def delete_notebook(id: str, wait: Wait = False) -> None:
        """Delete a notebook; its files stay for one of the same name."""
        connect().call("DELETE", resource_path("notebook", id))
        if wait:
            typer.echo(f"Notebook(id = {id} ) deleted")

    @create_app.command("notebook")
    def create_notebook(file: File) -> None:
        """Create a notebook."""
        typer.echo(connect().call("POST", "/api/v1/notebook", json=read(file))["notebookId"])
