"""Which runs a page of charts shows: their filter, their order, how many, and by what they are grouped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from nicegui import ui

from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.panels import GROUPS, MOST_RUNS, Runs, plain
from submarine_ray.workbench import parts
from submarine_ray.workbench.filter_field import FilterField
from submarine_ray.workbench.services import Services

_MOST = (10, 20, 50, MOST_RUNS)


class Change(Protocol):
    """Told what of the runs is to be other."""

    def __call__(self, **said: object) -> Awaitable[None]: ...


class Controls:
    """The fields above the panels."""

    def __init__(
        self, services: Services, shown: Runs, text: str, change: Change, add: Callable[[], Awaitable[None]]
    ) -> None:
        self._experiments = services.experiments
        self._clusters = services.clusters
        self._shown = shown
        self._text = text or shown.filter
        self._change = change
        self._add = add
        self.fields: list[str] = []

    async def draw(self) -> None:
        """Draw them, with what there is to choose from."""
        filters = await asyncio.to_thread(self._experiments.filters)
        clusters = await asyncio.to_thread(self._clusters.names)
        fields = await asyncio.to_thread(self._experiments.table.fields)
        self.fields = [str(field) for field in fields]
        known = {
            "status": ExperimentStatus.SEEN, "tag": filters.tags, "owner": filters.owners,
            "framework": filters.frameworks, "cluster": clusters,
        }  # fmt: skip
        with parts.row():
            self._filter = FilterField(self._text, fields, known, lambda text: self._change(filter=text))
            self._choice("Group by", "group", self._groups())
            self._choice("Sort by", "sort", self._orders())
            most: dict[str | int, str] = {one: parts.counted(one, "run") for one in sorted({*_MOST, self._shown.most})}
            self._choice("Runs", "most", most)
            parts.button("Add panel", self._add, "add_chart", "outline")

    def refuse(self, why: str | None) -> None:
        """Say what is wrong with the filter."""
        self._filter.refuse(why)

    def _groups(self) -> dict[str | int, str]:
        params = [name for name in self.fields if name.startswith("params.")]
        found: dict[str | int, str] = {"": "None", **{name: name.capitalize() for name in GROUPS}}
        return found | {name: name for name in [*params, *([self._shown.group] if self._shown.group else [])]}

    def _orders(self) -> dict[str | int, str]:
        found: dict[str | int, str] = {"": "Newest first"}
        for name in (name for name in self.fields if name.startswith("metrics.")):
            found |= {name: f"{plain(name)}, lowest first", f"-{name}": f"{plain(name)}, highest first"}
        return found | ({self._shown.sort: found.get(self._shown.sort, self._shown.sort)} if self._shown.sort else {})

    def _choice(self, label: str, name: str, options: dict[str | int, str]) -> None:
        async def choose(event: object) -> None:
            await self._change(**{name: choice.value})

        choice = ui.select(options, label=label, value=getattr(self._shown, name), on_change=choose)
        choice.props("dense outlined options-dense").style("min-width: 128px; max-width: 240px")
