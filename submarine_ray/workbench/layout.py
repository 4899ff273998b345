"""The frame around every page: places, theme, liveness, and what is said when something is not there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nicegui import ui
from starlette.requests import Request

from submarine_ray.access.acting import acting_user
from submarine_ray.access.signin import OUT_PATH
from submarine_ray.core.errors import NotFound, SubmarineError
from submarine_ray.workbench import parts
from submarine_ray.workbench.assets import chart_preloads
from submarine_ray.workbench.feed import ALL_SECONDS, Feed, Subscription
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services

RESPONSE_SECONDS = 60.0
THEME_COOKIE = "submarine_theme"
THEMES = {"light": False, "dark": True, "auto": None}
_PLACES = (
    (
        ("Home", "/", "home"),
        ("Experiments", "/experiments", "science"),
        ("Charts", "/charts", "insights"),
        ("Reports", "/reports", "description"),
        ("Templates", "/templates", "auto_awesome_mosaic"),
        ("Environments", "/environments", "inventory_2"),
        ("Notebooks", "/notebooks", "edit_note"),
        ("Models", "/models", "category"),
        ("Endpoints", "/endpoints", "bolt"),
        ("Clusters", "/clusters", "dns"),
    ),
    (("MLflow", "/mlflow/", "query_stats"), ("API", "/docs", "api"), ("Help", "/help/", "menu_book")),
    (("Settings", "/settings", "settings"),),
)

# The subjects whose events become notices (notices/decide.py).
_NOTICE_TOPICS = ("experiment-", "notebook-", "endpoint:", "saved:")


class Page:
    """One open page."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._client = ui.context.client

    def live(self, refresh: parts.Refresh, *topics: str, seconds: float = ALL_SECONDS) -> Subscription:
        """Call `refresh` at each change of a subject that begins with a topic, and each `seconds`; once a page."""
        content = self._client.content

        async def draw() -> None:
            with content:
                await refresh()

        subscription = Subscription(topics, draw, seconds=seconds)
        self._client.on_connect(lambda: self._feed.add(subscription))
        self._client.on_delete(lambda: self._feed.remove(subscription))
        if self._client.has_socket_connection:
            self._feed.add(subscription)
        return subscription


class Bench:
    """What every page module is given: the services, and the frame."""

    def __init__(self, services: Services, feed: Feed) -> None:
        self.services = services
        self.feed = feed

    def _draw_alerts(self, bell: ui.element) -> None:
        """What is wrong with the service, on every page, as long as it is; and how many notices are unread."""
        user = acting_user()
        place = ui.element("div")
        shown: list[tuple[str, ...]] = [()]

        def draw() -> None:
            problems = self.services.health.report().problems
            if problems != shown[0] and not place.is_deleted:
                shown[0] = problems
                place.clear()
                with place:
                    for said in problems:
                        parts.notice(said, bad=True)

        async def refresh() -> None:
            draw()
            unread = str(await run_query(self.services.notices.unread, user))
            if bell._props["data-unread"] != unread and not bell.is_deleted:
                bell._props["data-unread"] = unread
                bell.update()

        draw()
        live = Page(self.feed).live(refresh, *_NOTICE_TOPICS)
        # The page waits for no count; and a timer would have it sent before its content is drawn.
        ui.context.client.on_connect(live.wake)

    @staticmethod
    def route(path: str) -> ui.page:
        """A page at `path`. It may wait while MLflow is starting, which takes seconds."""
        return ui.page(path, response_timeout=RESPONSE_SECONDS)

    @asynccontextmanager
    async def page(self, request: Request, title: str, place: str, has_charts: bool = False) -> AsyncIterator[Page]:
        """Draw the frame; what is drawn inside the context is the page. `place` is the path that is marked."""
        ui.page_title(f"{title} · submarine-ray")
        if has_charts:
            ui.add_head_html(chart_preloads())
        theme = request.cookies.get(THEME_COOKIE, "auto")
        dark = ui.dark_mode(THEMES.get(theme))
        with ui.left_drawer(value=None, bordered=False).props("width=212 breakpoint=1023").classes("side") as drawer:
            _navigation(place)
            if getattr(request.state, "session", None) is not None:
                _sign_out()
        with ui.header(elevated=False).classes("top"):
            parts.icon_button("Toggle menu", "menu", drawer.toggle)
            parts.link("submarine-ray", "/", classes="brand")
            parts.row("grow")
            _search()
            bell = parts.element("notice-bell", data_unread="0")
            parts.icon_button("Toggle dark mode", "contrast", lambda: _switch(dark))
            parts.icon_button("Keyboard shortcuts", "keyboard").on(
                "click", js_handler="() => document.querySelector('dialog.keys').showModal()"
            ).classes("wide-only")
        skip = parts.text("Skip to content", "a", "skip")
        skip._props["href"] = "#main"
        skip.move(ui.context.client.layout, 0)  # the first stop of the keyboard
        with ui.element("div").classes("stack").props("id=main tabindex=-1"):
            self._draw_alerts(bell)
            content = ui.element("div").classes("stack")
        with content:
            try:
                yield Page(self.feed)
            except NotFound as failure:
                content.clear()
                ui.context.client.status_code = 404
                missing(str(failure))
            except SubmarineError as failure:
                content.clear()
                ui.context.client.status_code = failure.status
                _unavailable(str(failure))


def _search() -> None:
    """Opens what Ctrl-K opens (static/search.js)."""
    button = parts.element("button", type="button", aria_label="Search", data_palette="").classes("to-palette")
    icon = '<i class="q-icon material-icons" aria-hidden="true">search</i>'
    button._props["innerHTML"] = f'{icon}<span aria-hidden="true">Search</span><kbd aria-hidden="true">Ctrl K</kbd>'


def _navigation(here: str) -> None:
    """One element for all: as elements of their own they took a tenth of what drawing a page takes."""
    groups = ("".join(_navigation_link(*place, place[1] == here) for place in group) for group in _PLACES)
    nav = parts.element("nav", aria_label="Main")
    nav._props["innerHTML"] = "<hr>".join(groups)  # of constants alone


def _sign_out() -> None:
    """For who has signed in; where the service knows its user's processes, there is nothing to sign out of."""
    form = parts.element("form", method="post", action=OUT_PATH)
    icon = '<i class="q-icon material-icons" aria-hidden="true">logout</i>'
    form._props["innerHTML"] = f"<hr><button>{icon}<span>Sign out</span></button>"


def _navigation_link(name: str, path: str, icon: str, is_here: bool) -> str:
    current = ' aria-current="page"' if is_here else ""
    shown = f'<i class="q-icon material-icons" aria-hidden="true">{icon}</i><span>{name}</span>'
    return f'<a href="{path}"{current}>{shown}</a>'


def _switch(dark: ui.dark_mode) -> None:
    dark.set_value(not dark.value)
    remember_theme("dark" if dark.value else "light")


def remember_theme(theme: str) -> None:
    """Keep the theme in this browser; it is one of `THEMES`."""
    assert theme in THEMES  # noqa: S101 (it becomes script)
    ui.run_javascript(f"document.cookie = '{THEME_COOKIE}={theme}; path=/; max-age=31536000; samesite=lax'")


def missing(message: str) -> None:
    """Say that something is not there, and where to go instead."""
    with parts.empty("Page not found", message), parts.row():
        parts.link("Home", "/")
        parts.link("Experiments", "/experiments")


def _unavailable(message: str) -> None:
    with parts.empty("This page is temporarily unavailable", message):
        parts.button("Try again", ui.navigate.reload, kind="main")
