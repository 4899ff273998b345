"""`submarine search` and `submarine list notice`."""

from __future__ import annotations

from typing import Annotated

import typer

from submarine_ray.cli import output
from submarine_ray.cli.output import Format
from submarine_ray.cli.resources import Output, connect


def add_to(app: typer.Typer, list_app: typer.Typer) -> None:
    """Add the commands."""

    @list_app.command("notice")
    def list_notice(
        limit: Annotated[int, typer.Option(min=1, max=200)] = 30,
        read: Annotated[bool, typer.Option("--read", help="mark all as read")] = False,
        form: Output = Format.TABLE,
    ) -> None:
        """List your notifications: what ended, what failed, what was shared."""
        service = connect()
        found = service.call("GET", "/api/v1/notice", params={"limit": limit})
        if form is Format.TABLE:
            rows = (
                ("" if one["read"] else "new", one["time"], one["name"], one["status"], one["message"]) for one in found
            )
            output.table("List of Notifications", ("", "Time", "About", "Status", "Message"), rows)
        else:
            output.document(found, form)
        if read:
            service.call("POST", "/api/v1/notice/read")

    @app.command()
    def search(
        text: Annotated[list[str], typer.Argument(help="words or parts of words, in any order")],
        kind: Annotated[
            list[str] | None,
            typer.Option("-k", "--kind", help="only this kind (several times)"),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=50, help="the largest number of results of each kind")] = 6,
        form: Output = Format.TABLE,
    ) -> None:
        """Search experiments, models, endpoints and everything else that has a page in the workbench."""
        service = connect()
        asked = {"text": " ".join(text), "kind": kind or [], "limit": limit}
        found = service.call("GET", "/api/v1/search", params=asked)
        if form is not Format.TABLE:
            output.document(found, form)
            return
        rows = ((one["kind"], one["name"], one["status"], one["key"], f"{service.host}{one['path']}") for one in found)
        output.table(f"{len(found)} found", ("Kind", "Name", "Status", "Id", "Page"), rows)
