"""The curves of what is compared: a chart a metric, and which of them are drawn is chosen and in the URL."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.spec.system_metrics import is_system
from submarine_ray.workbench import parts
from submarine_ray.workbench.compared import Compared
from submarine_ray.workbench.metric_charts import MetricCharts
from submarine_ray.workbench.placing import place_at
from submarine_ray.workbench.services import Services

FIRST = 8  # charts drawn without being asked for
AT_ONCE = 40


def first(found: Sequence[Compared]) -> list[str]:
    """What is drawn at first: the metrics that most of them have, those of the training before those of the machine."""
    keys = {key for one in found for key in one.latest}

    def rank(key: str) -> tuple[int, bool, str]:
        return -sum(key in one.latest for one in found), is_system(key), key

    return sorted(sorted(keys, key=rank)[:FIRST])


def group_of(key: str) -> str:
    """What stands before the first slash of a metric's name: `val` of `val/loss`."""
    before, slash, _ = key.partition("/")
    return before if slash else ""


def grouped(keys: Iterable[str]) -> dict[str, list[str]]:
    """Metrics by the prefix of their names; those without one come first."""
    groups: dict[str, list[str]] = {}
    for key in sorted(keys, key=lambda key: (group_of(key), key)):
        groups.setdefault(group_of(key), []).append(key)
    return groups


class Curves:
    """`chosen`: the metrics that the URL asks for, or None if it says nothing; `remember` puts a choice there."""

    def __init__(
        self,
        services: Services,
        found: Sequence[Compared],
        chosen: Sequence[str] | None,
        remember: Callable[[list[str]], None],
    ) -> None:
        self._charts = MetricCharts(services.tracking, " by experiment")
        self._runs = {one.run: one.label for one in found if one.run}
        self._groups = grouped({key for one in found for key in one.latest})
        self._keys = [key for keys in self._groups.values() for key in keys]
        asked = first(found) if chosen is None else chosen
        self._unknown = [key for key in asked if key not in self._keys]
        self._chosen = [key for key in self._keys if key in asked][:AT_ONCE]
        self._remember = remember
        self._cards: dict[str, ui.element] = {}

    async def draw(self) -> None:
        if not self._keys:
            return
        with parts.row():
            parts.heading("Curves").classes("grow")
        for key in self._unknown:
            parts.notice(f"None of these experiments has the metric {key[:80]}.")
        with parts.row():
            self._picker = ui.select(
                self._keys, label="Metrics", multiple=True, value=self._chosen, with_input=True, on_change=self._pick
            )
            self._picker.props("dense outlined options-dense").classes("grow").style("max-width: 420px")
            self._buttons = {name: self._button(name) for name in self._groups if len(self._groups) > 1}
            parts.button("All", functools.partial(self._choose, self._keys))
            parts.button("None", functools.partial(self._choose, []))
        with parts.row():
            self._charts.draw_controls(self._keys)
        self._sections: dict[str, ui.element] = {}
        self._tiles: dict[str, ui.element] = {}
        for name in self._groups:
            with ui.element("section").classes("stack") as self._sections[name]:
                if len(self._groups) > 1:
                    parts.heading(f"{name}/" if name else "No prefix", 3)
                self._tiles[name] = ui.element("div").classes("tiles wide")
        await self._show()

    def _button(self, name: str) -> ui.button:
        return parts.button("", functools.partial(self._turn, name), kind="outline")

    async def _pick(self, event: ValueChangeEventArguments[list[str]]) -> None:
        if set(event.value) != set(self._chosen):
            await self._choose(event.value)

    async def _turn(self, name: str) -> None:
        """Draw all metrics of a group, or none if all are drawn."""
        group = set(self._groups[name])
        others = [key for key in self._chosen if key not in group]
        await self._choose(others if group <= set(self._chosen) else [*others, *self._groups[name]])

    async def _choose(self, keys: Sequence[str]) -> None:
        wanted = [key for key in self._keys if key in set(keys)]
        if len(wanted) > AT_ONCE:
            kept = set(self._chosen)
            wanted = sorted(wanted, key=lambda key: key not in kept)[:AT_ONCE]
            wanted = [key for key in self._keys if key in set(wanted)]
            parts.tell_failure(f"At most {AT_ONCE} charts can be shown. Remove some to see others.")
        self._chosen = wanted
        self._remember(wanted)
        await self._show()

    async def _show(self) -> None:
        """Bring the charts and the picker to what is chosen."""
        is_more = any(key not in self._cards for key in self._chosen)
        for key in [key for key in self._cards if key not in self._chosen]:
            self._charts.forget(key)
            self._cards.pop(key).delete()
        for name, keys in self._groups.items():
            shown = [key for key in keys if key in self._chosen]
            for position, key in enumerate(shown):
                if key not in self._cards:
                    self._cards[key] = self._draw_chart(self._tiles[name], key)
                place_at(self._cards[key], position)
            self._sections[name].set_visibility(bool(shown))
            if name in self._buttons:
                self._buttons[name].set_text(f"{name or 'no prefix'} {len(shown)}/{len(keys)}")
        self._picker.set_value(self._chosen)
        self._picker._props["display-value"] = f"{len(self._chosen)} of {len(self._keys)} shown"
        self._picker.update()
        if is_more:
            await self._charts.read(self._runs)

    def _draw_chart(self, tiles: ui.element, key: str) -> ui.element:
        with tiles, parts.card() as card:
            parts.heading(key, 3).classes("anywhere")
            self._charts.add(key)
        return card
