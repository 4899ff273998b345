"""`submarine bulk`: many experiments tagged, stopped or deleted at once."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from submarine_ray.cli.output import Problem
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.spec.actions import BulkAction

_ASKED = {BulkAction.STOP: "Stop", BulkAction.DELETE: "Delete permanently"}
_DONE = {
    BulkAction.TAG: "tagged", BulkAction.UNTAG: "untagged", BulkAction.STOP: "stopping", BulkAction.DELETE: "deleted",
}  # fmt: skip


def counted(number: int) -> str:
    """A number of experiments in words."""
    return f"{number} experiment{'' if number == 1 else 's'}"


def change(
    client: ExperimentClient,
    action: BulkAction,
    tag: str | None,
    filter: str | None,
    ids: Sequence[str] | None,
    is_sure: bool,
) -> None:
    """Change many experiments, after a question where that cannot be undone. Raises Problem."""
    if (filter is None) == (not ids):
        raise Problem("give --filter, or --id once for each experiment")
    if action in _ASKED and not is_sure:
        which = f"all experiments that match {filter!r}" if filter is not None else counted(len(ids or ()))
        typer.confirm(f"{_ASKED[action]} {which}?", abort=True)
    found = client.change_experiments(action, ids or None, filter, tag)
    skipped = f", {found['skipped']} had already ended" if found["skipped"] else ""
    typer.echo(f"{found['changed']} {_DONE[action]}{skipped}")
    for failure in found["failures"]:
        typer.echo(f"{failure['experimentId']}: {failure['message']}", err=True)
    if found["failed"]:
        raise Problem(f"{found['failed']} could not be changed")
