"""Images, figures, tables, texts, histograms and audio that an experiment or a trial logged: a card for each key."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from submarine_ray.spec.answers.media import MediaGroup
from submarine_ray.spec.spool import media
from submarine_ray.workbench import parts
from submarine_ray.workbench.media_card import Card, Source
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

FIRST = 24  # cards that are drawn without being asked for
_WIDE = (media.HISTOGRAM, media.TABLE, media.TEXT)
_ORDER = {
    kind: place
    for place, kind in enumerate(
        (media.IMAGE, media.FIGURE, *media.CHARTED, media.HISTOGRAM, media.AUDIO, media.TABLE, media.TEXT)
    )
}
Runs = Callable[[], dict[str, str]]  # MLflow's ids, and which replica each is of


async def draw(services: Services, experiment_id: str, runs: Runs, title: str = "") -> parts.Refresh:
    """Draw the cards; answers what brings them up to date. `title` stands above them, once there are any."""
    shown = _Media(services, experiment_id, runs, title)
    await shown.refresh()
    return shown.refresh


async def any_of(services: Services, runs: Runs) -> bool:
    """Whether there is anything to draw."""
    return bool(await run_query(_groups, services, tuple((await run_query(runs)).items())))


def _groups(services: Services, runs: tuple[tuple[str, str], ...]) -> list[MediaGroup]:
    return services.experiments.results.media.groups(dict(runs))


class _Media:
    def __init__(self, services: Services, experiment_id: str, runs: Runs, title: str) -> None:
        self._of = runs
        self._source = Source(services, experiment_id, {})
        self._groups: list[MediaGroup] = []
        self._cards: dict[tuple[str, str], Card] = {}
        self._wanted = ""
        self._most = FIRST
        self._heading = parts.heading(title) if title else None
        self._tools = parts.row()
        self._tiles = ui.element("div").classes("tiles wide media")
        self._more = parts.row()

    async def refresh(self) -> None:
        """Read what there is; a card that shows its last step goes on to a new one."""
        self._source.runs = await run_query(self._of)
        found = await run_query(_groups, self._source.services, tuple(self._source.runs.items()))
        self._groups = sorted(found, key=lambda one: (_ORDER.get(one.kind, len(_ORDER)), one.key))
        if self._heading is not None:
            self._heading.set_visibility(bool(self._groups))
        if len(self._groups) > 1 and not self._tools.default_slot.children:
            with self._tools:
                field = ui.input(placeholder="Filter by key", on_change=lambda event: self._filter(event.value))
                field.props('dense outlined clearable debounce=200 aria-label="Filter by key"').classes("grow")
        await self._draw()

    async def _filter(self, text: str | None) -> None:
        self._wanted = (text or "").strip().lower()
        await self._draw()

    async def _show_more(self) -> None:
        self._most += FIRST
        await self._draw()

    async def _draw(self) -> None:
        matching = [one for one in self._groups if self._wanted in f"{one.kind} {one.key}".lower()]
        shown = {(one.kind, one.key): one for one in matching[: self._most]}
        for key in [key for key in self._cards if key not in shown]:
            self._cards.pop(key).delete()
        for place, (key, group) in enumerate(shown.items()):
            if key not in self._cards:
                with self._tiles:
                    self._cards[key] = Card(self._source, group, is_wide=group.kind in _WIDE)
                    self._cards[key].move(self._tiles, place)
            await self._cards[key].refresh(group)
        self._more.clear()
        with self._more:
            if len(matching) > len(shown):
                parts.button(f"Show more ({len(matching) - len(shown):,})", self._show_more, "expand_more")
            elif self._groups and not matching:
                parts.text("No keys match this filter.", "p", "quiet")
