"""The runs of a board: what its filter finds, each with its colour, or gathered in groups."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from submarine_ray.spec.answers.experiments import ExperimentTableRow
from submarine_ray.spec.expressions import Field, FieldKind
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.numbers import is_whole
from submarine_ray.spec.panels import Runs
from submarine_ray.workbench import charts, parts
from submarine_ray.workbench.services import Services

_TURN = 0.618034  # of the circle of hues: the golden section keeps neighbours far apart


@dataclass(frozen=True)
class Run:
    """An experiment, and what it logged; `run` is its MLflow run, if it has one."""

    id: str
    label: str
    run: str | None
    row: ExperimentTableRow

    def number(self, field: str) -> float | None:
        """The last value of a field, if it is a number."""
        value = self.value(field)
        return value if isinstance(value, float) else None

    def value(self, field: str) -> float | str | None:
        """The last value of a field, or of an attribute of the experiment."""
        return self.row.values[field] if field in self.row.values else attribute(self.row, field)


@dataclass(frozen=True)
class Entry:
    """What is one line of the list of runs, and one curve: a run, or a group of them."""

    key: str
    label: str
    colour: str
    runs: tuple[Run, ...]
    is_group: bool = False


@dataclass(frozen=True)
class Found:
    """The runs of a board; `total` says how many its filter finds."""

    entries: tuple[Entry, ...]
    total: int

    @property
    def runs(self) -> list[Run]:
        """Each once, though it may be in several groups."""
        return list({run.id: run for entry in self.entries for run in entry.runs}.values())

    def without(self, hidden: Iterable[str]) -> Found:
        """What is left when some entries are switched off."""
        off = set(hidden)
        return Found(tuple(entry for entry in self.entries if entry.key not in off), self.total)


def read(services: Services, wanted: Runs, fields: Sequence[str]) -> Found:
    """The first runs of a filter, with the last values of some fields."""
    group = [wanted.group] if wanted.group and not _is_attribute(wanted.group) else []
    columns = dict.fromkeys(name for name in (*fields, *group) if not _is_attribute(name))
    query = TableQuery.read(wanted.filter, wanted.sort, list(columns))
    table = services.experiments.table
    rows, total = table.page(query, 1, wanted.most)
    return Found(tuple(entries(rows, table.run_ids([row.experiment_id for row in rows]), wanted.group)), total)


def entries(rows: Sequence[ExperimentTableRow], run_ids: Mapping[str, str], group: str) -> list[Entry]:
    """The entries of the list, each with a colour of its own."""
    names = [row.name for row in rows]
    runs = [
        Run(row.experiment_id, _label(row, names.count(row.name) > 1), run_ids.get(row.experiment_id), row)
        for row in rows
    ]
    if not group:
        return [Entry(run.id, run.label, colour(number), (run,)) for number, run in enumerate(runs)]
    groups: dict[str, list[Run]] = {}
    for run in runs:
        for name in _groups_of(run, group):
            groups.setdefault(name, []).append(run)
    return [
        Entry(name, name, colour(number), tuple(groups[name]), is_group=True)
        for number, name in enumerate(sorted(groups, key=_in_order))
    ]


def colour(number: int) -> str:
    """The colour of an entry: those that the colour-blind can tell apart first, then ever new hues."""
    if number < len(charts.COLOURS):
        return charts.COLOURS[number]
    red, green, blue = colorsys.hls_to_rgb(number * _TURN % 1, 0.5 if number % 2 else 0.4, 0.6)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def attribute(row: ExperimentTableRow, name: str) -> str | None:
    """An attribute of an experiment, as the language of filters names it."""
    found = {
        "name": row.name, "id": row.experiment_id, "owner": row.owner, "status": row.seen, "framework": row.framework,
        "cluster": row.cluster, "tag": ", ".join(row.tags) or None, "created": row.accepted_time,
        "finished": row.finished_time,
    }  # fmt: skip
    return found.get(name)


def said(value: float | str) -> str:
    """A value in a label: six digits of a number, all of a whole one."""
    return value if isinstance(value, str) else f"{value:.0f}" if is_whole(value) else str(parts.short(value))


def _is_attribute(name: str) -> bool:
    return Field.read(name).kind is FieldKind.ATTRIBUTE


def _label(row: ExperimentTableRow, is_shared: bool) -> str:
    return f"{row.name} ({row.experiment_id[-4:]})" if is_shared else row.name


def _groups_of(run: Run, group: str) -> list[str]:
    name = group.partition(".")[2] or group
    if group == "tag":
        return run.row.tags or ["no tag"]
    value = run.value(group)
    if value is None:
        return [f"no {name}"]
    return [f"{name}={said(value)}" if not _is_attribute(group) else str(value)]


def _in_order(name: str) -> tuple[str, float, str]:
    """Numbers by their size: `lr=0.1` before `lr=10`."""
    before, _, value = name.partition("=")
    try:
        return before, float(value), ""
    except ValueError:
        return before, float("inf"), value
