"""How something is used from elsewhere: snippets in tabs, copied with one press."""

from __future__ import annotations

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.snippets import LANGUAGES, Language, Snippets

_BY_LABEL: dict[str, Language] = {label: language for language, label in LANGUAGES.items()}


class UseIt:
    """The tabs, and the snippet of the one that is open. `purpose`: what the snippets do."""

    def __init__(self, purpose: str, snippets: Snippets) -> None:
        self._snippets = snippets
        first = next(iter(_BY_LABEL))
        self._language = _BY_LABEL[first]
        parts.text(purpose, "p", "quiet small")
        with parts.row("bar snippet-tabs"):
            with ui.tabs().props('dense align=left no-caps aria-label="Language"') as tabs:
                for label in _BY_LABEL:
                    ui.tab(label)
            parts.row("grow")
            self._copy = parts.copy_button("", "Copy snippet")
        self._block = parts.block("", "Snippet")
        tabs.set_value(first)
        tabs.on_value_change(self._turn)
        self._draw()

    def show(self, snippets: Snippets) -> None:
        """Show other snippets, such as those of changed values."""
        self._snippets = snippets
        self._draw()

    def _turn(self, event: ValueChangeEventArguments[ui.tab | ui.tab_panel | str | None]) -> None:
        self._language = _BY_LABEL[str(event.value)]
        self._draw()

    def _draw(self) -> None:
        said = self._snippets.of(self._language)
        self._block.set_text(said)
        self._copy._props["data-copy"] = said
        self._copy.update()


def card(purpose: str, snippets: Snippets) -> UseIt:
    """The card of a page of one thing."""
    with parts.card("Use it"):
        return UseIt(purpose, snippets)


async def ask(name: str, purpose: str, snippets: Snippets) -> None:
    """The same above a page of many things."""
    with dialogs.dialog(f"Use {name}") as dialog:
        UseIt(purpose, snippets)
        with parts.row():
            parts.row("grow")
            parts.button("Close", lambda: dialog.submit(None), kind="main")
    await dialogs.answered(dialog)
