"""The values of what is compared, side by side: what differs is marked, and so is the best of each metric."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.spec.json_types import Json, JsonObject
from submarine_ray.spec.numbers import is_finite
from submarine_ray.workbench import addresses, parts
from submarine_ray.workbench.compared import Compared
from submarine_ray.workbench.written import written

Rows = dict[str, list[str]]
Mode = Literal["min", "max"]
ROWS = 30  # of a section, without being asked for more: the curves are below
_ABOUT = ("meta.name", "meta.framework", "meta.cmd")
_LESS_IS_BETTER = frozenset(
    {"loss", "logloss", "mlogloss", "error", "err", "rmse", "mse", "mae", "mape", "rmsle", "deviance",
     "perplexity", "ppl", "wer", "cer", "fid", "regret", "latency"}
)  # fmt: skip
_MORE_IS_BETTER = frozenset(
    {"acc", "accuracy", "auc", "auroc", "f1", "r2", "precision", "recall", "score", "reward", "return", "iou",
     "map", "ap", "bleu", "rouge", "ndcg", "throughput"}
)  # fmt: skip


def sections(found: Sequence[Compared]) -> dict[str, Rows]:
    """The table's rows by section: a parameter and a metric may have one name, and so may a row of ours."""
    about = {
        "Framework": [one.spec.meta.framework for one in found],
        "Command": [one.spec.meta.cmd or "" for one in found],
    }
    return {
        "About": about,
        "Parameters": _values([one.params for one in found]),
        "Metrics": _values([one.latest for one in found]),
        "Code, environment and resources": _values([_settings(one) for one in found]),
    }


def _settings(one: Compared) -> dict[str, str]:
    return {path: value for path, value in flat(written(one.spec)).items() if path not in _ABOUT}


def flat(document: JsonObject, above: str = "") -> dict[str, str]:
    """A document's values by their paths, such as `spec.Worker.replicas`."""
    found: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = _plain(value)
    return found


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _values(found: Sequence[Mapping[str, object]]) -> Rows:
    keys = sorted({key for one in found for key in one})
    return {key: [_said(one.get(key)) for one in found] for key in keys}


def _said(value: object) -> str:
    return "" if value is None else str(parts.short(value))


def mode_of(metric: str, found: Sequence[Compared]) -> Mode | None:
    """Whether less or more of a metric is better: as a sweep says, or else its name; None if neither tells."""
    for one in found:
        if one.spec.tune and one.spec.tune.metric == metric:
            return "min" if one.spec.tune.mode == "min" else "max"
    for word in reversed(re.split(r"[^a-z0-9]+", metric.lower())):
        if word in _LESS_IS_BETTER:
            return "min"
        if word in _MORE_IS_BETTER:
            return "max"
    return None


def best(metric: str, found: Sequence[Compared]) -> set[int]:
    """The places of the best values of a metric; none where it has one value only, or nobody knows what is better."""
    mode = mode_of(metric, found)
    values = {n: one.latest[metric] for n, one in enumerate(found) if is_finite(one.latest.get(metric, float("nan")))}
    if mode is None or len(set(values.values())) < 2:
        return set()
    winner = min(values.values()) if mode == "min" else max(values.values())
    return {place for place, value in values.items() if value == winner}


class Table:
    """`remember` is told whether only differences are shown."""

    def __init__(self, found: Sequence[Compared], only_differences: bool, remember: Callable[[bool], None]) -> None:
        self._found = found
        self._only = only_differences
        self._remember = remember
        self._whole: set[str] = set()

    def draw(self) -> None:
        with parts.row():
            parts.text("Differences and each metric's best last value are highlighted.", "p", "quiet small grow")
            ui.switch("Differences only", value=self._only, on_change=self._turn)
        self._content = ui.element("div").classes("card scroll")
        self._content.props('tabindex=0 role=region aria-label="Differences"')
        self._draw_rows()

    def _turn(self, event: ValueChangeEventArguments[bool | None]) -> None:
        self._only = bool(event.value)
        self._remember(self._only)
        self._draw_rows()

    def _draw_rows(self) -> None:
        self._content.clear()
        with self._content, ui.element("table").classes("plain compared"):
            with ui.element("tr"):
                parts.text("", "td")
                for one in self._found:
                    with ui.element("th"):
                        parts.link(one.name, addresses.experiment(one.id))
                        ui.element("br")
                        parts.badge(one.status)
            for title, rows in sections(self._found).items():
                if rows:
                    self._draw_section(title, rows)

    def _draw_section(self, title: str, rows: Rows) -> None:
        shown = {label: values for label, values in rows.items() if not self._only or len(set(values)) > 1}
        with parts.element("tbody", aria_label=title):
            with ui.element("tr"):
                parts.text(title, "th", "section")._props.update({"colspan": len(self._found) + 1, "scope": "rowgroup"})
            for label in list(shown)[: None if title in self._whole else ROWS]:
                self._draw_row(label, shown[label], best(label, self._found) if title == "Metrics" else set())
            if not shown:
                self._draw_note("No differences.")
            elif len(shown) > ROWS and title not in self._whole:
                with self._draw_note(""):
                    parts.button(f"Show all {len(shown)}", lambda: self._show_whole(title))

    def _draw_row(self, label: str, values: list[str], winners: set[int]) -> None:
        with ui.element("tr"):
            parts.text(label, "th")
            for place, value in enumerate(values):
                cell = parts.text(value, "td", "mono diff" if len(set(values)) > 1 else "mono")
                if place in winners:
                    cell._props["data-best"] = "best"

    def _draw_note(self, said: str) -> ui.element:
        with ui.element("tr"):
            note = parts.text(said, "td", "quiet")
            note._props["colspan"] = len(self._found) + 1
        return note

    def _show_whole(self, title: str) -> None:
        self._whole.add(title)
        self._draw_rows()
