"""Panels: charts, tables, images and texts over many runs. Workspaces and reports consist of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from submarine_ray.spec import expressions
from submarine_ray.spec.base import Document
from submarine_ray.spec.expressions import MAX_LENGTH, MAX_SORT, FieldKind, Sort, WrongExpression

COLUMNS, ROWS = 12, 8  # of a board: the widest panel, and the highest
MOST_RUNS = 100
MOST_PANELS = 60
MOST_FIELDS = 12
MOST_HIDDEN = 200
MOST_KEPT = 200  # experiments whose charts a user has arranged
MOST_KEPT_BYTES = 48_000
GROUPS = ("owner", "status", "framework", "cluster", "name", "tag")
AXES = ("step", "time", "relative")

Name = Annotated[str, Field(min_length=1, max_length=250)]
PanelId = Annotated[str, Field(pattern=r"^[a-z0-9]{1,16}$")]


def _field(text: str) -> str:
    """A field of the language of filters. Raises ValueError."""
    return str(expressions.Field.read(text.replace("`", "")))


def _filter(text: str) -> str:
    if text.strip():
        expressions.read(text)
    return text.strip()


def _sort(text: str) -> str:
    return str(Sort.read(text)) if text else ""


def _group(text: str) -> str:
    """What has one value a run, or tags."""
    if not text:
        return ""
    found = expressions.Field.read(text.replace("`", ""))
    if found.kind is FieldKind.ATTRIBUTE and found.name not in GROUPS:
        raise WrongExpression(f"runs are grouped by {', '.join(GROUPS)}, or by params.NAME, not by {found}")
    return str(found)


FieldName = Annotated[str, Field(max_length=258), AfterValidator(_field)]


class Runs(Document):
    """The runs that are shown, and how they are grouped."""

    filter: Annotated[str, AfterValidator(_filter)] = Field(default="", max_length=MAX_LENGTH)
    """The filter of the experiments, such as `tag = baseline and params.lr < 0.1`; empty: all."""
    sort: Annotated[str, AfterValidator(_sort)] = Field(default="", max_length=MAX_SORT)
    """The field to sort by, such as `metrics.loss`, or `-metrics.accuracy` for descending; empty: newest first."""
    most: int = Field(default=20, ge=1, le=MOST_RUNS)
    """The largest number of runs that are shown."""
    group: Annotated[str, AfterValidator(_group)] = Field(default="", max_length=258)
    """The field to group by, such as `params.lr`, `owner` or `tag`; empty: one curve for each run."""


class _Panel(Document):
    id: PanelId = "p"
    """The panel's name within its workspace."""
    title: str = Field(default="", max_length=200)
    """The title; empty: derived from the other fields."""
    width: int = Field(default=6, ge=3, le=COLUMNS)
    """The width, in columns of a grid of 12."""
    height: int = Field(default=3, ge=1, le=ROWS)
    """The height, in rows of about 100 pixels."""


class LinePanel(_Panel):
    """A line chart of metrics: one curve for each run, or the mean of each group with a band."""

    kind: Literal["line"] = "line"
    metrics: list[Name] = Field(min_length=1, max_length=8)
    """The metrics that are drawn."""
    x: Name = "step"
    """The x axis: `step`, `time`, `relative` (seconds since the run's first value), or a metric."""
    log_x: bool = False
    """Whether the x axis is logarithmic."""
    log_y: bool = False
    """Whether the y axis is logarithmic."""
    smoothing: float = Field(default=0, ge=0, lt=1)
    """The smoothing; 0: none."""
    band: Literal["std", "range", "none"] = "std"
    """The band around a group's mean: one standard deviation on each side, from minimum to maximum, or none."""


class BarPanel(_Panel):
    """A bar chart of the last value of a metric or parameter: one bar for each run, or the mean of each group."""

    kind: Literal["bar"] = "bar"
    field: FieldName
    """The field, such as `metrics.accuracy`."""
    log: bool = False
    """Whether the axis is logarithmic."""


class ScatterPanel(_Panel):
    """A scatter plot: one dot for each run."""

    kind: Literal["scatter"] = "scatter"
    x: FieldName
    """The field of the x axis, such as `params.lr`."""
    y: FieldName
    """The field of the y axis, such as `metrics.loss`."""
    log_x: bool = False
    """Whether the x axis is logarithmic."""
    log_y: bool = False
    """Whether the y axis is logarithmic."""


class ParallelPanel(_Panel):
    """Parallel coordinates: one line for each run, one axis for each field."""

    kind: Literal["parallel"] = "parallel"
    fields: list[FieldName] = Field(min_length=2, max_length=MOST_FIELDS)
    """The axes from left to right. The last one colours the lines."""
    log: list[FieldName] = Field(default_factory=list, max_length=MOST_FIELDS)
    """The axes that are logarithmic."""


class TablePanel(_Panel):
    """A table: one row for each run."""

    kind: Literal["table"] = "table"
    fields: list[FieldName] = Field(min_length=1, max_length=MOST_FIELDS)
    """The columns beside the name."""


class ImagePanel(_Panel):
    """An image among the artifacts of each run."""

    kind: Literal["image"] = "image"
    path: str = Field(min_length=1, max_length=500)
    """The artifact's path, such as `plots/confusion.png`; of a directory, its last image by name is shown."""


class TextPanel(_Panel):
    """A text in Markdown."""

    kind: Literal["text"] = "text"
    text: str = Field(default="", max_length=20_000)
    """The text."""


Panel = Annotated[
    LinePanel | BarPanel | ScatterPanel | ParallelPanel | TablePanel | ImagePanel | TextPanel,
    Field(discriminator="kind"),
]
PANEL: TypeAdapter[Panel] = TypeAdapter(Panel)
KINDS = ("line", "bar", "scatter", "parallel", "table", "image", "text")


class Workspace(Runs):
    """A page of panels over the runs of a filter."""

    hidden: list[Name] = Field(default_factory=list, max_length=MOST_HIDDEN)
    """The ids of experiments, or the names of groups, that are switched off."""
    panels: list[Panel] = Field(default_factory=list, max_length=MOST_PANELS)
    """The panels in their order."""

    @model_validator(mode="after")
    def _each_has_its_id(self) -> Workspace:
        if len({panel.id for panel in self.panels}) < len(self.panels):
            raise ValueError("panels: two panels have the same id")
        return self


class ArrangedCharts(Document):
    """Which charts of metrics a user shows on the pages of experiments, and in which order."""

    charts: dict[str, list[Name]] = Field(default_factory=dict, max_length=MOST_KEPT)
    """The metrics by the id of their experiment; the experiment that was changed last is the last one."""

    def with_charts(self, experiment_id: str, metrics: list[str]) -> ArrangedCharts:
        """The same with other charts of an experiment. Those that were changed longest ago go when there are too many,
        or when the document would become larger than is kept.
        """
        found = {id: keys for id, keys in self.charts.items() if id != experiment_id} | {experiment_id: metrics}
        while len(found) > 1 and (len(found) > MOST_KEPT or _size(found) > MOST_KEPT_BYTES):
            del found[next(iter(found))]
        return ArrangedCharts(charts=found)


def _size(charts: dict[str, list[str]]) -> int:
    return sum(len(id) + 8 + sum(len(key.encode()) + 4 for key in keys) for id, keys in charts.items())


def title_of(panel: Panel) -> str:
    """What stands above a panel."""
    if panel.title:
        return panel.title
    match panel:
        case LinePanel(metrics=metrics):
            return ", ".join(metrics)
        case BarPanel(field=field):
            return plain(field)
        case ScatterPanel(x=x, y=y):
            return f"{plain(y)} by {plain(x)}"
        case ParallelPanel():
            return "Parallel coordinates"
        case TablePanel():
            return "Runs"
        case ImagePanel(path=path):
            return path
        case TextPanel():
            return ""


def plain(field: str) -> str:
    """A field's name without its prefix."""
    return field.removeprefix("metrics.").removeprefix("params.")


def fields_of(panel: Panel) -> list[str]:
    """The fields whose last values a panel shows."""
    match panel:
        case BarPanel(field=field):
            return [field]
        case ScatterPanel(x=x, y=y):
            return [x, y]
        case ParallelPanel(fields=fields) | TablePanel(fields=fields):
            return fields
        case _:
            return []


def short_document(panel: Panel) -> dict[str, object]:
    """A panel with its kind, and otherwise with only what is not as by default."""
    return {"kind": panel.kind, **panel.model_dump(by_alias=True, exclude_defaults=True, exclude={"kind"})}
