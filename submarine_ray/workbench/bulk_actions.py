"""What is done to the experiments that are selected in a table, or to all that match its filter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui import ui

from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec.actions import BulkAction
from submarine_ray.spec.bulk import BulkResult
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.filters import TableQuery
from submarine_ray.workbench import addresses, dialogs, parts
from submarine_ray.workbench.parts import Row

_DONE = {
    BulkAction.TAG: "Tagged", BulkAction.UNTAG: "Removed the tag from", BulkAction.STOP: "Stopping",
    BulkAction.DELETE: "Deleted",
}  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """The rows that are selected, and how many there are on all pages of the table, where that is known."""

    rows: tuple[Row, ...]
    is_whole_page: bool
    total: int


class BulkActions:
    """The bar of actions. `query` tells what the table asks for, `tags` are those there are, `done` is called after."""

    def __init__(
        self,
        experiments: ExperimentService,
        query: Callable[[], TableQuery],
        tags: Sequence[str],
        done: Callable[[], Awaitable[None]],
        clear: Callable[[], None],
        star: Callable[[str], object],
    ) -> None:
        self._experiments = experiments
        self._star = star
        self._query = query
        self._tags = tags
        self._done = done
        self._clear = clear
        self._bar = parts.row()
        self._is_all = False
        self._drawn: object = None
        self._total_drawn = 0
        self._selection = Selection((), False, 0)

    def show(self, selection: Selection) -> None:
        """Draw the actions of a selection; none without one."""
        self._selection = selection
        self._is_all = self._is_all and selection.is_whole_page
        said = [(row["experimentId"], row["status"]) for row in selection.rows], self._is_all, self._is_partial
        if self._drawn == said and (not self._is_all or self._total_drawn == selection.total):
            return
        self._drawn, self._total_drawn = said, selection.total
        self._bar.clear()
        if selection.rows:
            with self._bar:
                self._draw()

    def forget(self) -> None:
        """The table shows something else."""
        self._is_all = False

    @property
    def _is_partial(self) -> bool:
        """Whether more match than the page shows."""
        return self._selection.is_whole_page and self._selection.total > len(self._selection.rows)

    def _draw(self) -> None:
        rows, total = self._selection.rows, self._selection.total
        count = total if self._is_all else len(rows)
        said = f"All {total:,} that match are selected" if self._is_all else f"{len(rows):,} selected"
        parts.text(said, classes="quiet").props("role=status")
        if self._is_partial and not self._is_all:
            parts.button(f"Select all {total:,} that match", self._select_all)
        compare = parts.button("Compare", self._compare, "compare_arrows")
        compare.set_enabled(2 <= count <= addresses.MAX_COMPARED)
        parts.button("Add tag", lambda: self._tag(BulkAction.TAG), "new_label")
        has_tags = self._is_all or any(row["tags"] for row in rows)
        parts.button("Remove tag", lambda: self._tag(BulkAction.UNTAG), "label_off").set_enabled(has_tags)
        parts.button("Add to favourites", self._favourites, "star_outline").set_enabled(not self._is_all)
        can_stop = self._is_all or any(row["status"] not in ExperimentStatus.ENDED for row in rows)
        parts.button("Stop", self._stop, "stop").set_enabled(can_stop)
        parts.button("Delete", self._delete, "delete", "danger")
        parts.button("Clear selection", self._clear)

    def _select_all(self) -> None:
        self._is_all = True
        self.show(self._selection)

    async def _ids(self) -> list[str] | None:
        """The experiments that are meant; None if there are too many of them."""
        if not self._is_all:
            return [str(row["experimentId"]) for row in self._selection.rows]
        found = await parts.attempt(self._experiments.bulk.matching, self._query())
        return found.value if found else None

    async def _favourites(self) -> None:
        ids = [str(row["experimentId"]) for row in self._selection.rows]
        done = 0
        for id in ids:
            if not await parts.attempt(self._star, id):  # there are too many favourites
                break
            done += 1
        if done:
            parts.tell(f"Added {parts.counted(done, 'experiment')} to favourites")
            self._clear()

    async def _compare(self) -> None:
        if ids := await self._ids():
            ui.navigate.to(addresses.compare(ids[: addresses.MAX_COMPARED]))

    async def _stop(self) -> None:
        ids = await self._ids()
        if ids is not None and not self._is_all:
            going = {row["experimentId"] for row in self._selection.rows if row["status"] not in ExperimentStatus.ENDED}
            ids = [id for id in ids if id in going]
        consequence = "History, logs and models are kept."
        if ids and await dialogs.confirmed(f"Stop {self._named(ids)}?", consequence, "Stop"):
            await self._apply(BulkAction.STOP, ids)

    async def _delete(self) -> None:
        ids = await self._ids()
        consequence = "Whatever is running is stopped. Records and logs are deleted; registered models are kept."
        if ids and await dialogs.confirmed(f"Delete {self._named(ids)} permanently?", consequence, "Delete"):
            await self._apply(BulkAction.DELETE, ids)

    async def _tag(self, action: BulkAction) -> None:
        ids = await self._ids()
        if not ids:
            return
        rows = [] if self._is_all else self._selection.rows
        own = sorted({str(tag) for row in rows for tag in row["tags"]})  # type: ignore[attr-defined]
        is_new = action is BulkAction.TAG
        options = list(self._tags) if is_new or self._is_all else own
        title = f"Add a tag to {self._named(ids)}" if is_new else f"Remove a tag from {self._named(ids)}"
        if tag := await _asked_tag(title, options, is_new):
            await self._apply(action, ids, tag)

    def _named(self, ids: Sequence[str]) -> str:
        """One of the rows by its name, several by their number."""
        names = [str(row["name"]) for row in self._selection.rows if row["experimentId"] in ids]
        return names[0] if len(ids) == len(names) == 1 else parts.counted(len(ids), "experiment")

    async def _apply(self, action: BulkAction, ids: list[str], tag: str | None = None) -> None:
        done = await parts.attempt(self._experiments.bulk.apply, action, ids, tag)
        if done:
            _tell(action, done.value)
        self._clear()
        await self._done()


def _tell(action: BulkAction, result: BulkResult) -> None:
    if result.changed:
        parts.tell(f"{_DONE[action]} {parts.counted(result.changed, 'experiment')}")
    if result.failures:
        first = result.failures[0].message
        said = first if result.failed == 1 else f"{result.failed:,} could not be changed. First error: {first}"
        parts.tell_failure(said)
    if result.skipped and not result.changed:
        parts.tell("All of them have already ended")


async def _asked_tag(title: str, options: Sequence[str], is_new: bool) -> str | None:
    with dialogs.dialog(title) as asked:
        field: ui.input | ui.select
        if is_new:
            field = ui.input("Tag", autocomplete=list(options)[:1000]).props("outlined dense autofocus").classes("full")
        else:
            field = ui.select(
                list(options), label="Tag", with_input=True, value=options[0] if len(options) == 1 else None
            )
            field.props("outlined dense options-dense").classes("full")

        def send() -> None:
            said = str(field.value or "").strip()
            asked.submit(said) if said else parts.field_problem(field, "Enter a tag.")

        if is_new:
            field.on("keydown.enter", send)
        answer: str | None = await dialogs.submitted(asked, "Add" if is_new else "Remove", send)
    return answer
