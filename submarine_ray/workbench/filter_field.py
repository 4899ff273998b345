"""The field in which a filter of experiments is written, with what may stand next while it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from nicegui import ui

from submarine_ray.spec.completions import complete
from submarine_ray.spec.expressions import Field, WrongExpression, read
from submarine_ray.workbench import parts

_LIST = "filter-completions"


class FilterField:
    """A text field; `found` is given each filter that can be read, and the empty one."""

    def __init__(
        self,
        text: str,
        fields: Sequence[Field],
        values: Mapping[str, Sequence[str]],
        found: Callable[[str], Awaitable[None]],
    ) -> None:
        self._fields = fields
        self._values = values
        self._found = found
        self._field = ui.input(
            label="Filter", placeholder="metrics.loss < 0.1 and tag = demo", value=text, on_change=self._changed
        )
        self._field.props(f"dense outlined clearable debounce=250 list={_LIST} autocomplete=off spellcheck=false")
        self._field.classes("grow mono")
        self._offered = ui.element("datalist").props(f"id={_LIST}")
        self._offer(text)

    def refuse(self, why: str | None) -> None:
        """Say what is wrong with the filter, or that nothing is."""
        parts.field_problem(self._field, why)

    async def _changed(self) -> None:
        text = self._field.value or ""
        self._offer(text)
        try:
            if text.strip():
                read(text)
        except WrongExpression as failure:
            self.refuse(str(failure))
            return
        self.refuse(None)
        await self._found(text)

    def _offer(self, text: str) -> None:
        self._offered.clear()
        with self._offered:
            for one in complete(text, self._fields, self._values):
                parts.element("option", value=one)
