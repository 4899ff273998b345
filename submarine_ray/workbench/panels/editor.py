"""The form of a panel: which kind it is, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement
from pydantic import ValidationError

from submarine_ray.spec.expressions import ATTRIBUTES
from submarine_ray.spec.panels import GROUPS, KINDS, PANEL, Panel, Runs
from submarine_ray.spec.problems import sentence
from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.chart_settings import AXES
from submarine_ray.workbench.problems import parsed

NAMES = {
    "line": "Line chart: metrics over steps or time",
    "bar": "Bar chart: one value for each run or group",
    "scatter": "Scatter plot: one value by another",
    "parallel": "Parallel coordinates",
    "table": "Table",
    "image": "Images",
    "text": "Text",
}
_BANDS = {"std": "Standard deviation", "range": "Minimum to maximum", "none": "None"}
Read = Callable[[], object]


async def asked(panel: Panel | None, fields: Sequence[str]) -> Panel | None:
    """A panel as the user fills in its form; `fields` are the parameters and metrics that are offered. None if the
    user gives up.
    """
    with dialogs.dialog("Edit panel" if panel else "Add panel") as opened:
        form = _Form(panel, fields)
        form.draw()

        def send() -> None:
            if made := form.panel():
                opened.submit(made)

        answer: Panel | None = await dialogs.submitted(opened, "Save" if panel else "Add", send)
    return answer


async def asked_for_report(fields: Sequence[str]) -> tuple[Panel, Runs] | None:
    """The same with the runs that the panel shows: in a report each panel has its own."""
    with dialogs.dialog("Insert panel") as opened:
        form = _Form(None, fields)
        form.draw()
        runs = _RunFields(fields)

        def send() -> None:
            found, made = runs.read(), form.panel()
            if found and made:
                opened.submit((made, found))

        answer: tuple[Panel, Runs] | None = await dialogs.submitted(opened, "Insert", send)
    return answer


class _RunFields:
    """Which runs, and in which groups."""

    def __init__(self, fields: Sequence[str]) -> None:
        params = [name for name in fields if name.startswith("params.")]
        groups = {"": "None"} | {name: name.capitalize() for name in GROUPS} | {name: name for name in params}
        self._filter = ui.input("Filter", placeholder="tag = baseline and params.lr < 0.1")
        self._filter.props("outlined dense").classes("mono")
        self._group = ui.select(groups, label="Group by", value="", with_input=True)
        self._group.props("outlined dense options-dense")
        self._most = parts.number("Maximum number of runs", 20).props("outlined dense")

    def read(self) -> Runs | None:
        """What they say; None if something is wrong, which stands beside the filter."""
        said = {"filter": self._filter.value or "", "group": self._group.value or "", "most": self._most.value}
        return parsed(Runs, said, self._filter)


class _Form:
    def __init__(self, panel: Panel | None, fields: Sequence[str]) -> None:
        self._before: Mapping[str, Any] = panel.model_dump() if panel else {}
        self._kind = panel.kind if panel else "line"
        self._metrics = [name.removeprefix("metrics.") for name in fields if name.startswith("metrics.")]
        self._fields = [*fields, *(name for name in ATTRIBUTES if name not in ("id", "age", "duration"))]
        self._read: dict[str, Read] = {}

    def draw(self) -> None:
        kind = ui.select({kind: NAMES[kind] for kind in KINDS}, label="Kind", value=self._kind, on_change=self._turn)
        kind.props("outlined dense options-dense").classes("full")
        self._place = ui.element("div").classes("stack full")
        self._problem = ui.label().classes("bad small").props("role=alert")
        self._draw_kind()

    def panel(self) -> Panel | None:
        """What the form says; None if something is wrong, which it tells."""
        said = {name: read() for name, read in self._read.items()}
        kept = {name: self._before[name] for name in ("id", "width", "height") if name in self._before}
        try:
            return PANEL.validate_python({**_SIZES.get(self._kind, {}), **kept, **said, "kind": self._kind})
        except ValidationError as failure:
            first = failure.errors()[0]
            first["loc"] = first["loc"][1:]
            self._problem.set_text(sentence(first))
            return None

    def _turn(self, event: Any) -> None:
        self._kind = event.value
        self._draw_kind()

    def _draw_kind(self) -> None:
        self._place.clear()
        self._problem.set_text("")
        self._read = {}
        with self._place:
            _DRAWN[self._kind](self)
            self._text("title", "Title", "Automatic")

    def _line(self) -> None:
        self._choices("metrics", "Metrics", self._metrics)
        axes = AXES | {name: name for name in self._metrics} | {self._value("x", "step"): self._value("x", "step")}
        self._choice("x", "X axis", {**axes, **AXES}, "step")
        with parts.row():
            self._switch("log_x", "Log x")
            self._switch("log_y", "Log y")
        self._number("smoothing", "Smoothing (0 to 0.99)", 0)
        self._choice("band", "Band around a group's mean", _BANDS, "std")

    def _bar(self) -> None:
        self._one_field("field", "Value")
        self._switch("log", "Log scale")

    def _scatter(self) -> None:
        self._one_field("x", "X axis")
        self._one_field("y", "Y axis")
        with parts.row():
            self._switch("log_x", "Log x")
            self._switch("log_y", "Log y")

    def _parallel(self) -> None:
        self._choices("fields", "Axes; the last one sets the colour", self._fields)
        self._choices("log", "Log axes", self._fields)

    def _table(self) -> None:
        self._choices("fields", "Columns", self._fields)

    def _image(self) -> None:
        self._text("path", "Artifact path", "plots/confusion.png, or a directory for its last image")

    def _words(self) -> None:
        area = ui.textarea("Text in Markdown", value=self._value("text", ""))
        area.props("outlined dense autogrow").classes("full mono")
        self._read["text"] = lambda: area.value or ""

    def _value(self, name: str, default: Any) -> Any:
        return self._before.get(name, default) if self._before.get("kind", self._kind) == self._kind else default

    def _text(self, name: str, label: str, hint: str) -> None:
        before = self._before.get("title", "") if name == "title" else self._value(name, "")
        field = ui.input(label, value=before, placeholder=hint).props("outlined dense").classes("full")
        self._read[name] = lambda: (field.value or "").strip()

    def _number(self, name: str, label: str, default: float) -> None:
        field = parts.number(label, self._value(name, default)).props("outlined dense").classes("full")
        self._read[name] = lambda: default if field.value is None else field.value

    def _switch(self, name: str, label: str) -> None:
        field = ui.switch(label, value=self._value(name, False))
        self._read[name] = lambda: bool(field.value)

    def _choice(self, name: str, label: str, options: dict[str, str], default: str) -> None:
        field = ui.select(options, label=label, value=self._value(name, default), with_input=len(options) > 8)
        self._finish(name, field)

    def _one_field(self, name: str, label: str) -> None:
        value = self._value(name, None)
        options = list(dict.fromkeys([*self._fields, *([value] if value else [])]))
        self._finish(name, ui.select(options, label=label, value=value, with_input=True))

    def _choices(self, name: str, label: str, options: Sequence[str]) -> None:
        value = list(self._value(name, []))
        known = list(dict.fromkeys([*options, *value]))
        field = ui.select(known, label=label, multiple=True, value=value, with_input=True).props("use-chips")
        self._finish(name, field)

    def _finish(self, name: str, field: ValidationElement[Any]) -> None:
        field.props("outlined dense options-dense").classes("full")
        self._read[name] = lambda: field.value


_DRAWN: dict[str, Callable[[_Form], None]] = {
    "line": _Form._line, "bar": _Form._bar, "scatter": _Form._scatter, "parallel": _Form._parallel,
    "table": _Form._table, "image": _Form._image, "text": _Form._words,
}  # fmt: skip
_SIZES = {"parallel": {"width": 12}, "table": {"width": 12}, "text": {"height": 2}}
