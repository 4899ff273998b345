"""A model's versions on its page: a table, and those that are chosen in it side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nicegui import ui

from submarine_ray.core.errors import SubmarineError
from submarine_ray.spec.answers.models import ModelSignature, ModelVersion
from submarine_ray.spec.answers.serving import Endpoint
from submarine_ray.workbench import addresses, compare_markup, parts
from submarine_ray.workbench.model_rows import Compared, best, moment, sections
from submarine_ray.workbench.parts import Column
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

MOST_COMPARED = 20
PAGE = 20
_COLUMNS = (
    Column("label", "Version", "link"),
    Column("currentStage", "Stage"),
    Column("aliases", "Aliases", "chips"),
    Column("served", "Served", "status", wide=True),
    Column("experiment", "From", wide=True),
    Column("tags", "Tags", "chips", wide=True),
    Column("userId", "Registered by", wide=True),
    Column("created", "Created", "ago", wide=True),
)


class Versions:
    """The table and the comparison. `chosen`: versions that are compared at first."""

    def __init__(self, services: Services, name: str, chosen: Sequence[int]) -> None:
        self._services = services
        self._name = name
        self._chosen = list(chosen)
        self._versions: dict[int, ModelVersion] = {}
        self._served: dict[int, Endpoint] = {}

    def draw(self, versions: Sequence[ModelVersion], served: Mapping[int, Endpoint]) -> None:
        """Draw the table, and below it what is chosen; later its rows are only replaced, so that choices stay."""
        self._read(versions, served)
        columns = [column for column in _COLUMNS if column.name in self._told()]
        rows = self._rows()
        self._table = parts.table(
            columns, rows, "version", "Versions", select=len(rows) > 1, page=PAGE if len(rows) > PAGE else 0
        )
        self._table.selected = [row for row in rows if row["version"] in self._chosen]
        self._table.on_select(self._choose)
        self._content = ui.element("div")

    def show(self, versions: Sequence[ModelVersion], served: Mapping[int, Endpoint]) -> None:
        """Show what they are by now."""
        self._read(versions, served)
        parts.replace_rows(self._table, self._rows())

    async def compare(self) -> None:
        """Draw the versions that are chosen side by side."""
        self._content.clear()
        numbers = [number for number in self._chosen if number in self._versions][:MOST_COMPARED]
        if len(numbers) < 2:
            with self._content:
                if len(self._versions) > 1:
                    parts.text("Select versions to compare them side by side.", "p", "quiet")
            return
        found = await run_query(self._look, numbers)
        with self._content, parts.card(f"Compare {parts.counted(len(found), 'version')}"):
            if len(self._chosen) > MOST_COMPARED:
                parts.notice(f"Only the first {MOST_COMPARED} of {len(self._chosen)} versions are shown.")
            parts.text("Differences and each metric's best value are highlighted.", "p", "quiet small")
            with ui.element("div").classes("scroll") as content:
                content.props('tabindex=0 role=region aria-label="Comparison of versions"')
                ui.html("".join(markup(self._name, found)), sanitize=False)

    def _read(self, versions: Sequence[ModelVersion], served: Mapping[int, Endpoint]) -> None:
        self._versions = {one.version: one for one in versions}
        self._served = dict(served)

    def _told(self) -> set[str]:
        """The columns in which there is something to read."""
        said = {"label", "currentStage", "created"}
        for one in self._versions.values():
            said |= {"aliases"} if one.aliases else set()
            said |= {"tags"} if one.tags else set()
            said |= {"userId"} if one.user_id else set()
            said |= {"experiment"} if one.experiment_id else set()
        return said | ({"served"} if self._served else set())

    def _rows(self) -> list[parts.Row]:
        return [
            one.model_dump(by_alias=True)
            | {
                "name": f"version {one.version}",
                "label": f"Version {one.version}",
                "href": addresses.model(self._name, one.version),
                "aliases": one.aliases,
                "experiment": one.experiment_id,
                "served": self._state(one.version),
                "state": parts.state(self._state(one.version)) if one.version in self._served else "",
                "created": moment(one.creation_time),
            }
            for one in sorted(self._versions.values(), key=lambda one: -one.version)
        ]

    def _state(self, version: int) -> str:
        return self._served[version].status if version in self._served else "No"

    async def _choose(self) -> None:
        self._chosen = sorted((int(row["version"]) for row in self._table.selected), reverse=True)
        ui.navigate.history.replace(addresses.model_versions(self._name, self._chosen))
        await self.compare()

    def _look(self, numbers: Sequence[int]) -> list[Compared]:
        details = {one.version: one for one in self._services.models.details(self._name, numbers)}
        return [
            Compared(
                self._versions[number],
                details.get(number),
                _signature(self._services, self._name, number),
                self._state(number) if number in self._served else "",
            )
            for number in numbers
        ]


def _signature(services: Services, name: str, version: int) -> ModelSignature | None:
    try:
        return services.models.signature(name, version)
    except SubmarineError:  # of files that were removed, or that nobody can read
        return None


def markup(name: str, found: Sequence[Compared]) -> Iterator[str]:
    """The comparison of some versions."""
    numbers = [one.version.version for one in found]
    headings = [compare_markup.link(addresses.model(name, number), f"Version {number}") for number in numbers]
    return compare_markup.table(headings, sections(found), lambda metric: best(metric, found))
