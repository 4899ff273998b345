"""The table of all experiments: filtered, grouped and paged by the server, its state in the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from nicegui import ui
from starlette.requests import Request

from submarine_ray.spec.answers.experiments import ExperimentSummary, ExperimentTableRow
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import FieldKind, WrongExpression
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.places import ObjectKind
from submarine_ray.workbench import addresses, columns, grouped_rows, parts
from submarine_ray.workbench.bulk_actions import BulkActions, Selection
from submarine_ray.workbench.filter_field import FilterField
from submarine_ray.workbench.grouped_rows import OpenGroups
from submarine_ray.workbench.layout import Bench, Page
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.table_view import ALL, View
from submarine_ray.workbench.view_menu import Opened, ViewMenu, open_view

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


def whole(row: ExperimentTableRow, logged: Sequence[str]) -> parts.Row:
    """A row with what it shows in the columns of parameters and metrics."""
    return shown(row) | values(row, logged)


def add(bench: Bench) -> None:
    @bench.route("/experiments")
    async def experiments(request: Request) -> None:
        async with bench.page(request, "Experiments", "/experiments") as page:
            opened = await open_view(bench.services.saved, View.of(request))
            await _Table(bench, page, opened).draw()


class _Table:
    def __init__(self, bench: Bench, page: Page, opened: Opened) -> None:
        self._experiments = bench.services.experiments
        self._clusters = bench.services.clusters
        self._saved = bench.services.saved
        self._search = bench.services.search
        self._page = page
        self._opened = opened
        self._view = opened.view
        self._groups = OpenGroups()
        self._total = 0

    async def draw(self) -> None:
        filters = await asyncio.to_thread(self._experiments.filters)
        clusters = await asyncio.to_thread(self._clusters.names)
        fields = await asyncio.to_thread(self._experiments.table.fields)
        with parts.row():
            parts.heading("Experiments", 1)
            self._menu = ViewMenu(self._saved, self._opened, lambda: self._view)
            parts.row("grow")
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
            params = [str(field) for field in fields if field.kind is FieldKind.PARAM]
            self._choice("Group by", "group", {**grouped_rows.NAMES, **{name: name for name in params}}, "None")
            parts.button("Columns", self._choose_columns, "view_column")
            self._charts = parts.link("Charts", "", classes="small")
            self._csv = parts.link("CSV", "", classes="small")
            self._draw_links()
        self._actions = BulkActions(
            self._experiments,
            lambda: self._view.query(),
            filters.tags,
            self._load,
            self._clear_selection,
            lambda id: self._search.star(ObjectKind.EXPERIMENT, id, True),
        )
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
            drawn = columns.drawn(self._view.columns, self._view.pinned)
            self._table = parts.table(drawn, [], "experimentId", "Experiments", select=True, sort=self._view.sort)
        if self._view.pinned:
            self._table.classes("pins")
        self._table.on_select(self._draw_actions)
        self._table.on("sort", lambda event: self._sort(event.args))
        self._table.on("open", lambda event: self._open(event.args, self._groups.turn))
        self._table.on("more", lambda event: self._open(event.args, self._groups.more))

    def _choice(self, label: str, name: str, options: dict[str, str], nothing: str = "Any") -> None:
        value = getattr(self._view, name)
        choice = ui.select(
            {"": nothing, **options, **({value: options.get(value, value)} if value else {})},
            label=label,
            value=value,
            on_change=lambda event: self._show(self._view.changed(**{name: event.value or ""})),
        )
        choice.props("dense outlined options-dense").style("min-width: 128px")

    async def _choose_columns(self) -> None:
        there = [str(field) for field in await asyncio.to_thread(self._experiments.table.fields)]
        if found := await columns.chosen(self._view.columns, self._view.pinned, there):
            column, pin = found
            await self._arrange(replace(self._view, column=() if column == tuple(columns.COLUMNS) else column, pin=pin))

    async def _sort(self, name: object) -> None:
        if isinstance(name, str):
            await self._arrange(self._view.changed(sort=self._view.sorted_by(name)))

    async def _open(self, line: object, change: Callable[[str], None]) -> None:
        """Open or close a group, or show more of it."""
        if isinstance(line, str):
            change(line)
            await self._load()

    async def _arrange(self, view: View) -> None:
        """Show a view whose columns or order are others."""
        self._view = view
        self._draw_table()
        await self._show(view)

    async def _show(self, view: View) -> None:
        if view.group != self._view.group:
            self._groups = OpenGroups()
        if view.is_bare and self._opened.default:
            view = replace(view, view=view.view or ALL)  # or a reload would open the default view
        self._view = view
        ui.navigate.history.replace(self._url)
        self._table.selected.clear()
        self._actions.forget()
        self._menu.show()
        self._draw_links()
        await self._load()

    @property
    def _url(self) -> str:
        """The table's own; of a saved view that is shown as it was saved, that view's."""
        if self._menu.is_saved:
            return addresses.experiments(view=self._view.view, page=str(self._view.page) if self._view.page > 1 else "")
        if self._view.is_bare and self._view.view:
            return replace(self._view, view=ALL).url  # a saved view's id alone would open that
        return self._view.url

    def _clear_selection(self) -> None:
        self._table.selected.clear()
        self._actions.forget()
        self._draw_actions()
        self._table.update()

    def _draw_links(self) -> None:
        for link, address in ((self._csv, self._view.csv), (self._charts, self._view.charts)):
            link._props["href"] = address
            link.set_visibility(bool(address))
            link.update()

    async def _load(self) -> None:
        try:
            query = self._view.query()
        except WrongExpression as failure:
            self._filter.refuse(str(failure))
            return
        self._filter.refuse(None)
        rows, total = await self._read(query)
        if not rows and total and self._view.page > 1:  # the last page has become empty
            await self._show(replace(self._view, page=-(-total // SIZE)))
            return
        self._total = total
        parts.replace_rows(self._table, rows)
        kept = {one["experimentId"] for one in rows}
        self._table.selected = [row for row in self._table.selected if row["experimentId"] in kept]
        self._table.set_visibility(bool(rows))
        self._draw_paging(total)
        self._draw_actions()
        self._draw_nothing(total)

    async def _read(self, query: TableQuery) -> tuple[list[parts.Row], int]:
        """The rows of the page, and how many there are on all pages: experiments, or groups of them."""
        logged = columns.logged(self._view.columns)
        if by := self._view.by:
            page = self._view.page, SIZE
            load = grouped_rows.load
            return await asyncio.to_thread(load, self._experiments, query, by, page, self._groups, whole, logged)
        found, total = await run_query(self._experiments.table.page, query, self._view.page, SIZE)
        return [whole(row, logged) for row in found], total

    def _draw_paging(self, total: int) -> None:
        first, last = (self._view.page - 1) * SIZE + 1, min(self._view.page * SIZE, total)
        said = f"{first:,}–{last:,} of {total:,}{' groups' if self._view.group else ''}" if total else ""
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
        rows = tuple(row for row in self._table.selected if grouped_rows.is_experiment(row))
        is_whole = not self._view.group and len(rows) == len(self._table.rows)
        self._actions.show(Selection(rows, is_whole, self._total))

    def _draw_nothing(self, total: int) -> None:
        self._nothing.clear()
        if total:
            return
        with self._nothing:
            if self._view.is_filtered:
                with parts.empty("No experiments match these filters", "Remove a filter to see more."):
                    parts.button(
                        "Clear all filters", lambda: ui.navigate.to(addresses.experiments(view=ALL)), kind="outline"
                    )
            else:
                with (
                    parts.empty("No experiments yet", "An experiment is one run of your code on a cluster."),
                    parts.row(),
                ):
                    parts.button("Run a template", lambda: ui.navigate.to("/templates"), kind="main")
                    parts.button("New experiment", lambda: ui.navigate.to("/experiments/new"), kind="outline")
