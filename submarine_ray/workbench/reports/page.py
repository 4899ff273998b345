"""The pages of reports: the list, and one of them."""

from __future__ import annotations

import asyncio

from nicegui import ui
from starlette.requests import Request

from submarine_ray.saved.kinds import REPORTS
from submarine_ray.saved.service import read
from submarine_ray.spec.answers.saved import Saved
from submarine_ray.spec.places import ObjectKind
from submarine_ray.spec.reports import Report
from submarine_ray.spec.saved import Audience
from submarine_ray.workbench import addresses, assets, dialogs, opened, parts
from submarine_ray.workbench.audience import SHORT
from submarine_ray.workbench.layout import Bench
from submarine_ray.workbench.panels.saving import ask_name
from submarine_ray.workbench.reports.view import ReportView
from submarine_ray.workbench.reports.writer import Writer
from submarine_ray.workbench.services import Services

_COLUMNS = (
    parts.Column("name", "Name", "link", sortable=True),
    parts.Column("owner", "Owner", sortable=True, wide=True),
    parts.Column("seen", "Visible to", wide=True),
    parts.Column("updatedTime", "Updated", "ago", sortable=True),
)
_SEEN = {Audience.PRIVATE: "Only you", Audience.TEAM: "Team"}
_BEGINNING = (
    "What was tried, and the results.\n\n"
    "```panel\nkind: line\nmetrics: [loss]\nmost: 10\n```\n\n"
    "Press **Insert panel** to add another chart, table or image.\n"
)


def add(bench: Bench) -> None:
    @bench.route("/reports")
    async def reports(request: Request) -> None:
        async with bench.page(request, "Reports", "/reports"):
            await _draw_list(bench.services)

    @bench.route("/reports/{report_id}")
    async def report(request: Request, report_id: str, edit: str = "") -> None:
        assets.add_panels(bench.services.version)
        async with bench.page(request, "Report", "/reports", has_charts=True) as page:
            saved = await asyncio.to_thread(bench.services.saved.get, report_id, REPORTS)
            ui.page_title(f"{saved.name} · submarine-ray")
            opened.note(bench.services, ObjectKind.REPORT, saved.id)
            text = (read(saved, Report) or Report()).text
            if edit and saved.is_own:
                shown = await Writer(bench.services, saved, text, addresses.report(saved.id)).draw()
            else:
                shown = await _Report(bench.services, saved, text).draw()
            page.live(shown.refresh, "experiment-")


async def _draw_list(services: Services) -> None:
    found = await asyncio.to_thread(services.saved.list, REPORTS)

    async def create() -> None:
        with ui.context.client.content:
            named = await ask_name("New report", "", Audience.PRIVATE)
        if named and (done := await parts.attempt(services.saved.create, REPORTS, named[0], _new(), named[1])):
            ui.navigate.to(addresses.report(done.value.id, edit=True))

    with parts.row():
        parts.heading("Reports", 1).classes("grow")
        parts.button("New report", create, "add", "main")
    rows = [
        one.model_dump(by_alias=True, exclude={"document"})
        | {"href": addresses.report(one.id), "seen": _SEEN[one.audience]}
        for one in found
    ]
    if rows:
        parts.table(_COLUMNS, rows, "id", "Reports", page=50 if len(rows) > 50 else 0)
    else:
        with parts.empty("No reports yet", "A report is a page of text with charts of runs that stay up to date."):
            parts.button("New report", create, kind="outline")


def _new() -> Report:
    return Report(text=_BEGINNING)


class _Report:
    def __init__(self, services: Services, saved: Saved, text: str) -> None:
        self._services = services
        self._saved = saved
        self._text = text

    async def draw(self) -> ReportView:
        saved = self._saved
        with parts.row():
            parts.link("Reports", "/reports", classes="quiet")
            parts.text("/", classes="quiet")
        with parts.row():
            parts.heading(saved.name, 1).classes("grow")
            if saved.is_own:
                edit = addresses.report(saved.id, edit=True)
                parts.button("Edit", lambda: ui.navigate.to(edit), "edit", "outline")
                parts.button("Share", self._share, "share")
            parts.button("Save a copy", self._copy, "content_copy")
            if saved.is_own:
                parts.button("Delete", self._delete, "delete", "danger")
        with parts.row():
            parts.text(f"By {saved.owner}, updated", classes="quiet small")
            parts.ago(saved.updated_time).classes("quiet small")
            parts.text(f"· {SHORT[saved.audience]}", classes="quiet small")
        shown = ReportView(self._services)
        await shown.show(self._text)
        return shown

    async def _share(self) -> None:
        """Who may open it, and its name."""
        with ui.context.client.content:
            named = await ask_name("Share report", self._saved.name, self._saved.audience)
        changes = self._services.saved.change
        if named and await parts.attempt(changes, self._saved.id, kind=REPORTS, name=named[0], audience=named[1]):
            ui.navigate.reload()

    async def _copy(self) -> None:
        with ui.context.client.content:
            named = await ask_name("Save a copy", f"{self._saved.name} (copy)"[:120], Audience.PRIVATE)
        report = Report(text=self._text)
        if named and (done := await parts.attempt(self._services.saved.create, REPORTS, named[0], report, named[1])):
            ui.navigate.to(addresses.report(done.value.id))

    async def _delete(self) -> None:
        with ui.context.client.content:
            question = f"Delete {self._saved.name} permanently?"
            sure = await dialogs.confirmed(question, "Its text is deleted. The experiments are kept.", "Delete")
        if sure and await parts.attempt(self._services.saved.delete, self._saved.id, REPORTS):
            ui.navigate.to("/reports")
