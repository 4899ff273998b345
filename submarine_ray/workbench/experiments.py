"""The table of all experiments: filtered and paged by the server, its state in the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.answers.experiments import ExperimentSummary, ExperimentTableRow
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import WrongExpression
from submarine_ray.workbench import addresses, columns, dialogs, parts
from submarine_ray.workbench.filter_field import FilterField
from submarine_ray.workbench.layout import Bench, Page
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.table_view import View

SIZE = 25
_PERIOD_NAMES = {"hour": "Last hour", "day": "Last 24 hours", "week": "Last 7 days", "month": "Last 30 days"}
# Whose message says more than the state.
_TOLD = (ExperimentStatus.FAILED, ExperimentStatus.ACCEPTED, ExperimentStatus.CREATED)


def shown(summary: ExperimentSummary) -> dict[str, object]:
    """An experiment as a row of a table."""
    seen = summary.seen
    return summary.model_dump(by_alias=True) | {
        "seen": seen,
        "why": summary.message if seen in _TOLD else None,
        "href": addresses.experiment(summary.experiment_id),
        "state": parts.state(seen),
        "from": summary.running_time,
        "to": summary.finished_time,
    }


def values(row: ExperimentTableRow, logged: Sequence[str]) -> dict[str, object]:
    """What a row shows in the columns of parameters and metrics."""
    return {f"value{place}": parts.short(row.values.get(name)) for place, name in enumerate(logged)}


def add(bench: Bench) -> None:
    @bench.route("/experiments")
    async def experiments(request: Request) -> None:
        async with bench.page(request, "Experiments", "/experiments") as page:
            await _Table(bench, page, View.of(request)).draw()


class _Table:
    def __init__(self, bench: Bench, page: Page, view: View) -> None:
        self._experiments = bench.services.experiments
        self._clusters = bench.services.clusters
        self._page = page
        self._view = view

    async def draw(self) -> None:
        filters = await asyncio.to_thread(self._experiments.filters)
        clusters = await asyncio.to_thread(self._clusters.names)
        fields = await asyncio.to_thread(self._experiments.table.fields)
        with parts.row():
            parts.heading("Experiments", 1).classes("grow")
            parts.button("New experiment", lambda: ui.navigate.to("/experiments/new"), "add", "main")
        with parts.row():
            search = ui.input(
                placeholder="Search by name or ID",
                value=self._view.q,
                on_change=lambda event: self._show(self._view.changed(q=event.value or "")),
            )
            search.props('dense outlined clearable debounce=250 aria-label="Search by name or ID" data-search')
            self._choice(
                "Status", "status", {state: state for state in (*ExperimentStatus.SEEN, ExperimentStatus.DELETED)}
            )
            self._choice("Owner", "owner", {name: name for name in filters.owners})
            self._choice("Framework", "framework", {name: name for name in filters.frameworks})
            self._choice("Tag", "tag", {name: name for name in filters.tags})
            self._choice("Cluster", "cluster", {name: name for name in clusters})
            self._choice("Created", "since", _PERIOD_NAMES)
        with parts.row():
            self._filter = FilterField(
                self._view.filter,
                fields,
                {"status": ExperimentStatus.SEEN, "tag": filters.tags, "owner": filters.owners,
                 "framework": filters.frameworks, "cluster": clusters},
                lambda text: self._show(self._view.changed(filter=text)),
            )  # fmt: skip
            parts.button("Columns", self._choose_columns, "view_column")
            self._csv = parts.link("CSV", "", classes="small")
            self._draw_csv()
        self._actions = parts.row()
        self._place = ui.element("div")
        self._below = parts.row()
        self._nothing = ui.element("div")
        self._draw_table()
        await self._load()
        self._page.live(self._load, "experiment-")

    def _draw_table(self) -> None:
        """The table itself, anew when its columns or its order change."""
        self._place.clear()
        with self._place:
            drawn = columns.drawn(self._view.columns)
            self._table = parts.table(drawn, [], "experimentId", "Experiments", select=True, sort=self._view.sort)
        self._table.on_select(self._draw_actions)
        self._table.on("sort", lambda event: self._sort(event.args))

    def _choice(self, label: str, name: str, options: dict[str, str]) -> None:
        value = getattr(self._view, name)
        choice = ui.select(
            {"": "Any", **options, **({value: value} if value else {})},
            label=label,
            value=value,
            on_change=lambda event: self._show(self._view.changed(**{name: event.value or ""})),
        )
        choice.props("dense outlined options-dense").style("min-width: 128px")

    async def _choose_columns(self) -> None:
        there = [str(field) for field in await asyncio.to_thread(self._experiments.table.fields)]
        if found := await columns.chosen(self._view.columns, there):
            await self._arrange(replace(self._view, column=() if found == tuple(columns.COLUMNS) else found))

    async def _sort(self, name: object) -> None:
        if isinstance(name, str):
            await self._arrange(self._view.changed(sort=self._view.sorted_by(name)))

    async def _arrange(self, view: View) -> None:
        """Show a view whose columns or order are others."""
        self._view = view
        self._draw_table()
        await self._show(view)

    async def _show(self, view: View) -> None:
        self._view = view
        ui.navigate.history.replace(self._view.url)
        self._table.selected.clear()
        self._draw_csv()
        await self._load()

    def _draw_csv(self) -> None:
        self._csv._props["href"] = csv = self._view.csv
        self._csv.set_visibility(bool(csv))
        self._csv.update()

    async def _load(self) -> None:
        try:
            query = self._view.query()
        except WrongExpression as failure:
            self._filter.refuse(str(failure))
            return
        self._filter.refuse(None)
        found, total = await run_query(self._experiments.table.page, query, self._view.page, SIZE)
        if not found and total and self._view.page > 1:  # the last page has become empty
            await self._show(replace(self._view, page=-(-total // SIZE)))
            return
        logged = columns.logged(self._view.columns)
        parts.replace_rows(self._table, [shown(row) | values(row, logged) for row in found])
        kept = {one.experiment_id for one in found}
        self._table.selected = [row for row in self._table.selected if row["experimentId"] in kept]
        self._table.set_visibility(bool(found))
        self._draw_paging(total)
        self._draw_actions()
        self._draw_nothing(total)

    def _draw_paging(self, total: int) -> None:
        first, last = (self._view.page - 1) * SIZE + 1, min(self._view.page * SIZE, total)
        said = f"{first:,}–{last:,} of {total:,}" if total else ""
        if getattr(self, "_said", None) == said:
            return
        self._said = said
        self._below.clear()
        if not total:
            return
        with self._below:
            parts.text(said, classes="quiet small grow").props("role=status")
            for label, icon, number, possible in (
                ("First page", "first_page", 1, self._view.page > 1),
                ("Previous page", "chevron_left", self._view.page - 1, self._view.page > 1),
                ("Next page", "chevron_right", self._view.page + 1, last < total),
                ("Last page", "last_page", -(-total // SIZE), last < total),
            ):
                parts.icon_button(
                    label, icon, lambda number=number: self._show(replace(self._view, page=number))
                ).set_enabled(possible)

    def _draw_actions(self) -> None:
        chosen = list(self._table.selected)
        said = [(row["experimentId"], row["status"]) for row in chosen]
        if getattr(self, "_chosen", None) == said:
            return
        self._chosen = said
        self._actions.clear()
        if not chosen:
            return
        ids = [row["experimentId"] for row in chosen]
        going = [row["experimentId"] for row in chosen if row["status"] not in ExperimentStatus.ENDED]
        with self._actions:
            parts.text(f"{len(ids)} selected", classes="quiet")
            compare = parts.button("Compare", lambda: ui.navigate.to(addresses.compare(ids)), "compare_arrows")
            compare.set_enabled(2 <= len(ids) <= addresses.MAX_COMPARED)
            parts.button("Stop", lambda: self._stop(going), "stop").set_enabled(bool(going))
            parts.button("Delete", lambda: self._delete(ids), "delete", "danger")

    async def _stop(self, ids: list[str]) -> None:
        if await dialogs.confirmed(f"Stop {self._named(ids)}?", "History, logs and models are kept.", "Stop"):
            await self._each(self._experiments.stop, ids, "Stopping")

    async def _delete(self, ids: list[str]) -> None:
        consequence = "Whatever is running is stopped. Records and logs are deleted; registered models are kept."
        if await dialogs.confirmed(f"Delete {self._named(ids)} permanently?", consequence, "Delete"):
            await self._each(self._experiments.delete, ids, "Deleted")

    def _named(self, ids: list[str]) -> str:
        """One of the rows by its name, several by their number."""
        names = [row["name"] for row in self._table.rows if row["experimentId"] in ids]
        return names[0] if len(ids) == len(names) == 1 else parts.counted(len(ids), "experiment")

    async def _each(self, action: Callable[[str], object], ids: list[str], said: str) -> None:
        done = [id for id in ids if await parts.attempt(action, id)]
        if done:
            parts.tell(f"{said} {parts.counted(len(done), 'experiment')}")
        self._table.selected.clear()
        await self._load()

    def _draw_nothing(self, total: int) -> None:
        self._nothing.clear()
        if total:
            return
        with self._nothing:
            if self._view.is_filtered:
                with parts.empty("No experiments match these filters", "Remove a filter to see more."):
                    parts.button("Clear all filters", lambda: ui.navigate.to("/experiments"), kind="outline")
            else:
                with (
                    parts.empty("No experiments yet", "An experiment is one run of your code on a cluster."),
                    parts.row(),
                ):
                    parts.button("Run a template", lambda: ui.navigate.to("/templates"), kind="main")
                    parts.button("New experiment", lambda: ui.navigate.to("/experiments/new"), kind="outline")
