"""A card: what was logged with one key, with a slider over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from submarine_ray.core.errors import SubmarineError
from submarine_ray.spec.answers.media import MediaGroup, MediaItem, Wanted
from submarine_ray.spec.spool import media
from submarine_ray.tracking.media import MediaService
from submarine_ray.workbench import charts, media_charts, media_views, parts
from submarine_ray.workbench.media_charts import Histogram
from submarine_ray.workbench.media_views import Shown
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

MOST = 48  # items of a step that are drawn
MOST_READ = 12  # of those whose content the page reads
MOST_REPLICAS = 4  # of whom a histogram over steps is drawn
_NAMES = {
    media.IMAGE: "image", media.FIGURE: "figure", media.TABLE: "table", media.TEXT: "text",
    media.HISTOGRAM: "histogram", media.AUDIO: "audio", media.CONFUSION_MATRIX: "confusion matrix",
    media.ROC_CURVE: "ROC curve", media.PR_CURVE: "precision-recall curve",
}  # fmt: skip


@dataclass
class Source:
    """Where cards read: `runs` are MLflow's, each with its replica."""

    services: Services
    experiment_id: str
    runs: dict[str, str]

    @property
    def media(self) -> MediaService:
        return self.services.experiments.results.media


class Card:
    """One key's. It shows the last step, and each new one, until another step is chosen."""

    def __init__(self, source: Source, group: MediaGroup, is_wide: bool) -> None:
        self._source = source
        self._group: MediaGroup | None = None
        self._key = (group.kind, group.key)
        self._steps: list[int] = []
        self._at = 0
        self._follows = True
        self._section = ui.element("section").classes("card" + (" span" if is_wide else ""))
        with self._section:
            with parts.row():
                parts.heading(group.key).classes("grow anywhere")
                parts.text(_NAMES.get(group.kind, group.kind), classes="chip")
            self._over = ui.element("div").classes("shots wide")
            self._over.set_visibility(False)
            self._content = ui.element("div").classes("stack")
            with parts.row("bar stepper") as self._bar:
                parts.icon_button("Previous step", "chevron_left", lambda: self._go(self._at - 1))
                self._slider = ui.slider(min=0, max=1, step=1, value=0).props("dense").classes("grow")
                self._slider._props["aria-label"] = f"Step of {group.key}"
                # What the event says: the slider's own value may come after it.
                self._slider.on("update:model-value", lambda event: self._go(int(event.args)), throttle=0.1)
                parts.icon_button("Next step", "chevron_right", lambda: self._go(self._at + 1))
            self._said = parts.text("", "p", "quiet small")

    def delete(self) -> None:
        self._section.delete()

    def move(self, place: ui.element, index: int) -> None:
        self._section.move(place, index)

    async def refresh(self, group: MediaGroup) -> None:
        """Read again if there is more than before."""
        if group == self._group:
            return
        chosen = self._steps[self._at] if self._steps else None
        self._steps = await run_query(self._read_steps)
        if not self._steps:
            return
        self._group = group
        self._at = len(self._steps) - 1 if self._follows or chosen not in self._steps else self._steps.index(chosen)
        self._bar.set_visibility(len(self._steps) > 1)
        self._slider._props["max"] = max(len(self._steps) - 1, 1)
        self._slider.update()
        if self._key[0] == media.HISTOGRAM and len(self._steps) > 1:
            await self._draw_over_steps()
        await self._draw()

    async def _go(self, at: int) -> None:
        at = min(max(at, 0), len(self._steps) - 1)
        if at != self._at:
            self._at, self._follows = at, at == len(self._steps) - 1
            await self._draw()

    async def _draw(self) -> None:
        step = self._steps[self._at]
        self._slider.set_value(self._at)
        found, total = await run_query(self._read, step)
        if step != self._steps[self._at] or self._content.is_deleted:  # another was chosen meanwhile
            return
        place = f"Step {step:,}" + (f" · {self._at + 1:,} of {len(self._steps):,}" if len(self._steps) > 1 else "")
        more = f" · the first {len(found):,} of {total:,} are shown" if total > len(found) else ""
        self._said.set_text(place + more)
        self._content.clear()
        with self._content:
            if found and found[0].item.kind == media.HISTOGRAM:
                self._draw_histograms(found)
            elif found:
                media_views.draw(self._source.experiment_id, found)

    def _read_steps(self) -> list[int]:
        return self._source.media.steps(self._source.runs, *self._key)

    def _read_histograms(self, steps: tuple[int, ...]) -> list[tuple[MediaItem, str]]:
        return self._source.media.histograms(self._source.runs, self._key[1], steps)

    def _read(self, step: int) -> tuple[list[Shown], int]:
        """The items of a step, the replicas in their order, with the contents that the page draws."""
        kind, key = self._key
        items, total = self._source.media.items(self._source.runs, Wanted(kind, key, step), MOST)
        place = {run: number for number, run in enumerate(self._source.runs)}
        items.sort(key=lambda one: place[one.run_id])
        if any(media_views.needs_content(kind, item.suffix) for item in items):
            items = items[:MOST_READ]
        return [Shown(item, self._content_of(item)) for item in items], total

    def _content_of(self, item: MediaItem) -> bytes:
        if not (wanted := media_views.read_bytes(item)):
            return b""
        try:
            return self._source.media.read(item, wanted)
        except SubmarineError:  # somebody has deleted the artifact
            return b""

    def _draw_histograms(self, found: Sequence[Shown]) -> None:
        several = len({one.item.replica for one in found}) > 1
        with ui.element("div").classes("shots wide"):
            for one in found:
                histogram = Histogram.read(one.content.decode(errors="replace"))
                with ui.element("div").classes("stack tight"):
                    if histogram is None:
                        parts.text("This histogram cannot be read.", "p", "quiet")
                        continue
                    charts.show(media_charts.one_step(histogram), f"Histogram of {one.item.key}", "chart low")
                    said = (one.item.replica if several else "", one.item.caption, histogram.described)
                    parts.text(" · ".join(filter(None, said)), "p", "quiet small")

    async def _draw_over_steps(self) -> None:
        every = -(-len(self._steps) // media_charts.MAX_STEPS)
        steps = self._steps[::-1][::every][::-1]  # the last one is among them
        found = await run_query(self._read_histograms, tuple(steps))
        by_replica: dict[str, dict[int, Histogram]] = {}
        for item, text in found:
            if (histogram := Histogram.read(text)) is not None:
                by_replica.setdefault(item.replica, {})[item.step] = histogram
        self._over.set_visibility(bool(by_replica))
        self._over.clear()
        order = {replica: place for place, replica in enumerate(self._source.runs.values())}
        with self._over:
            for replica in sorted(by_replica, key=lambda one: order.get(one, 0))[:MOST_REPLICAS]:
                known = by_replica[replica]
                with ui.element("div").classes("stack tight"):
                    options = media_charts.over_steps(list(known), list(known.values()))
                    charts.show(options, f"Distribution of {self._key[1]} over steps, {replica}", "chart")
                    if len(by_replica) > 1:
                        parts.text(replica, "p", "quiet small")
