"""The rows of a table of experiments in groups: a line for each group, and below an open one its experiments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec.answers.experiments import ExperimentTableRow
from submarine_ray.spec.answers.groups import ExperimentGroup, ValueSummary
from submarine_ray.spec.expressions import Every, Field, FieldKind
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.groups import GroupKey
from submarine_ray.workbench import parts
from submarine_ray.workbench.parts import Row

AT_ONCE = 25
MOST = 500  # of one group, below its line
NAMES = {
    "status": "Status",
    "tag": "Tag",
    "owner": "Owner",
    "framework": "Framework",
    "cluster": "Cluster",
    "name": "Name",
}
Shown = Callable[[ExperimentTableRow, Sequence[str]], Row]


def label(by: str) -> str:
    """A field that groups, as people read it."""
    return NAMES.get(by, by.removeprefix("params."))


@dataclass
class OpenGroups:
    """Which groups of a table are open, by the ids of their lines, and how many of their experiments are shown."""

    shown: dict[str, int] = field(default_factory=dict)

    def turn(self, line: str) -> None:
        """Open a group, or close it."""
        if line in self.shown:
            del self.shown[line]
        else:
            self.shown[line] = AT_ONCE

    def more(self, line: str) -> None:
        """Show more of a group; `line` is that of the button."""
        id = line.removeprefix("more ")
        self.shown[id] = min(MOST, self.shown.get(id, 0) + AT_ONCE)


def is_experiment(row: Row) -> bool:
    """Whether a row is one of an experiment, and not the line of a group."""
    return "open" not in row and "more" not in row


def load(
    experiments: ExperimentService,
    query: TableQuery,
    by: Field,
    page: tuple[int, int],
    opened: OpenGroups,
    shown: Shown,
    logged: Sequence[str],
) -> tuple[list[Row], int]:
    """The rows of a page (its number and size) of groups, and how many groups there are."""
    groups, total = experiments.groups.page(query, by, *page)
    rows: list[Row] = []
    for group in groups:
        key = _key(by, group)
        id = f"group {key.value!r}"
        most = opened.shown.get(id, 0)
        rows.append(_line(id, by, group, bool(most), logged))
        if not most:
            continue
        found, count = experiments.table.page(_of_group(query, key), 1, most)
        rows += [shown(row, logged) | {"experimentId": f"{row.experiment_id}"} for row in found]
        if count > len(found):
            rows.append(_more(id, len(found), count))
    return rows, total


def _key(by: Field, group: ExperimentGroup) -> GroupKey:
    if isinstance(group.value, float):
        return GroupKey(by, number=group.value)
    return GroupKey(by, text=group.value)


def _of_group(query: TableQuery, key: GroupKey) -> TableQuery:
    asked = query.filter.expression
    whole = Every((asked, key.expression)) if asked else key.expression
    return replace(query, filter=replace(query.filter, expression=whole))


def _line(id: str, by: Field, group: ExperimentGroup, is_open: bool, logged: Sequence[str]) -> Row:
    name = by.name if by.kind is not FieldKind.ATTRIBUTE else label(by.name)
    said = f"No {name}" if group.value is None else str(parts.short(group.value))
    row: Row = {
        "experimentId": id, "name": said, "open": "true" if is_open else "false", "count": f"{group.count:,}",
    }  # fmt: skip
    for place, column in enumerate(logged):
        if summary := group.values.get(column):
            row |= _summary(f"value{place}", summary)
    return row


def _summary(column: str, summary: ValueSummary) -> Row:
    mean, low, high = (parts.short(one) for one in (summary.mean, summary.minimum, summary.maximum))
    return {column: mean} if low == high else {column: f"mean {mean}", f"{column}_range": f"{low} – {high}"}


def _more(id: str, shown: int, count: int) -> Row:
    said = f"Show {min(AT_ONCE, count - shown):,} more of {count:,}"
    if shown >= MOST:
        said = f"{shown:,} of {count:,} are shown; filter to see the others"
    return {"experimentId": f"more {id}", "name": said, "more": "true"}
