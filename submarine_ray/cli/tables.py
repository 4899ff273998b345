"""`submarine list experiment`: as Submarine prints it, or with a filter, a sort order and columns of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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


@dataclass(frozen=True)
class Asked:
    """Which experiments are listed, in which order, and what of what they logged; `by` groups them."""

    status: str | None = None
    filter: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()
    by: str = ""
    limit: int = 50

    @property
    def condition(self) -> str:
        """The filter, with the status. Raises Problem."""
        if not self.status:
            return self.filter
        _check(self.filter)  # between parentheses, `a = 1) or (b = 2` would be one
        return f"status = '{self.status}'" + (f" and ({self.filter})" if self.filter.strip() else "")


def of_view(asked: Asked, saved: dict[str, Any]) -> Asked:
    """What a saved view asks for, besides the options. Raises Problem."""
    from submarine_ray.spec.views import ExperimentView

    try:
        view = ExperimentView.model_validate(saved["document"])
        filter = view.expression
    except ValueError as failure:  # WrongExpression too
        raise Problem(f"the view {saved['name']!r} cannot be listed here: {failure}") from failure
    _check(asked.filter)
    both = " and ".join(f"({one})" for one in (filter, asked.filter) if one.strip())
    shown = tuple(name for name in view.column if name.startswith(("params.", "metrics.")))
    return replace(
        asked, filter=both, sort=asked.sort or view.sort, columns=asked.columns or shown, by=asked.by or view.group
    )


def grouped(client: ExperimentClient, asked: Asked, form: Format) -> None:
    """Print groups of experiments, with the mean and the range of what they logged."""
    rows = client.experiment_groups(asked.by, asked.condition, asked.sort, asked.columns, asked.limit)
    if form is not Format.TABLE:
        output.document(rows, form)
        return
    names = [column.replace("`", "") for column in asked.columns]
    output.table(
        "Groups of Experiments",
        (asked.by, "Experiments", *asked.columns),
        [
            ("(none)" if row["value"] is None else _cell(row["value"]), row["count"],
             *(_summary(row["values"].get(one)) for one in names))
            for row in rows
        ],
    )  # fmt: skip


def _summary(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    low, mean, high = (_cell(value[name]) for name in ("minimum", "mean", "maximum"))
    return mean if low == high else f"{mean} ({low} - {high})"


def logged(client: ExperimentClient, asked: Asked, form: Format) -> None:
    """Print a table of experiments, with what they logged."""
    rows = client.experiment_table(asked.condition, asked.sort, asked.columns, asked.limit)
    if form is not Format.TABLE:
        output.document(rows, form)
        return
    names = [column.replace("`", "") for column in asked.columns]  # as the service says them
    output.table(
        TITLE,
        ("Name", "Id", "Tags", "Created Time", "Status", *asked.columns),
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
