"""`submarine list experiment`: as Submarine prints it, or with a filter, a sort order and columns of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from submarine_ray.cli import output
from submarine_ray.cli.output import Format, Problem
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import WrongExpression, read
from submarine_ray.spec.numbers import is_whole

TITLE = "List of Experiments"


def experiments(client: ExperimentClient, status: str | None, limit: int, form: Format) -> None:
    """Print the newest experiments."""
    params = {"pageSize": limit, **({"state": status} if status else {})}
    found = client.service.call("GET", "/api/v1/experiment", params=params)
    if form is not Format.TABLE:
        output.document(found, form)
        return
    rows = [
        (e["spec"]["meta"]["name"], e["experimentId"], ",".join(e["spec"]["meta"]["tags"]), e["finishedTime"],
         e["createdTime"], e["runningTime"], ExperimentStatus.seen_of(e))
        for e in found
    ]  # fmt: skip
    output.table(TITLE, ("Name", "Id", "Tags", "Finished Time", "Created Time", "Running Time", "Status"), rows)


def logged(
    client: ExperimentClient,
    status: str | None,
    filter: str,
    sort: str,
    columns: Sequence[str],
    limit: int,
    form: Format,
) -> None:
    """Print a table of experiments, with what they logged."""
    if status:
        _check(filter)  # between parentheses, `a = 1) or (b = 2` would be one
        filter = f"status = '{status}'" + (f" and ({filter})" if filter.strip() else "")
    rows = client.experiment_table(filter, sort, columns, limit)
    if form is not Format.TABLE:
        output.document(rows, form)
        return
    names = [column.replace("`", "") for column in columns]  # as the service says them
    output.table(
        TITLE,
        ("Name", "Id", "Tags", "Created Time", "Status", *columns),
        [
            (row["name"], row["experimentId"], ",".join(row["tags"]), row["acceptedTime"],
             ExperimentStatus.seen(row["status"], row["reason"]), *(_cell(row["values"].get(one)) for one in names))
            for row in rows
        ],
    )  # fmt: skip


def _check(filter: str) -> None:
    try:
        if filter.strip():
            read(filter)
    except WrongExpression as failure:
        raise Problem(f"--filter: {failure}") from failure


def _cell(value: float | str | None) -> str:
    if isinstance(value, float | int):
        return str(int(value)) if is_whole(value) else f"{value:.6g}"
    return value or ""
