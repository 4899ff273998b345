"""Puts the workbench into the service's application, at /."""

from __future__ import annotations

import inspect
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import Client, core, ui
from nicegui import app as pages
from nicegui.classes import Classes
from nicegui.page import page
from nicegui.props import Props
from nicegui.style import Style
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount

from submarine_ray.core.http import Scope
from submarine_ray.workbench import (
    clusters,
    compare,
    endpoint,
    endpoints,
    environments,
    experiment,
    experiments,
    home,
    model_version,
    models,
    new_experiment,
    notebooks,
    settings,
    split,
    template_form,
    templates,
    trial,
)
from submarine_ray.workbench.assets import Kept
from submarine_ray.workbench.feed import Feed
from submarine_ray.workbench.layout import Bench, missing
from submarine_ray.workbench.panels import page as charts_page
from submarine_ray.workbench.policy import Guarded
from submarine_ray.workbench.reports import page as reports
from submarine_ray.workbench.services import Services

STATIC = Path(__file__).parent / "static"
STATIC_PATH = "/workbench-static"
_SCRIPTS = ("workbench", "log-lines", "log-source", "log-view")
RECONNECT_SECONDS = 30.0
_MODULES = (
    home, new_experiment, experiments, experiment, trial, compare, charts_page, reports, template_form, templates,
    environments, notebooks, models, model_version, endpoints, endpoint, split, clusters, settings,
)  # fmt: skip


def attach(app: FastAPI, services: Services, feed: Feed) -> None:
    """Serve the workbench from `app`. NiceGUI has one set of pages a process, so this is for a process's only app."""
    for kind in (Classes, Style, Props):
        # NiceGUI asks for it at each element that it makes: a third of what drawing a page took.
        kind._update.__signature__ = inspect.signature(kind._update)  # type: ignore[union-attr]
    bench = Bench(services, feed)
    for module in _MODULES:
        module.add(bench)
    scripts = [f'<script src="{STATIC_PATH}/{name}.js?{services.version}"></script>' for name in _SCRIPTS]
    head = (
        f'<link rel="stylesheet" href="{STATIC_PATH}/workbench.css?{services.version}">'
        f'<link rel="stylesheet" href="{STATIC_PATH}/line_chart.css?{services.version}">'
        f"{''.join(scripts)}"
        f'<script src="{STATIC_PATH}/search.js?{services.version}" defer></script>'
        f'<script src="{STATIC_PATH}/notices.js?{services.version}" defer></script>'
    )
    ui.add_head_html(head, shared=True)

    @pages.exception_handler(404)
    async def nowhere(request: Request, _failure: Exception) -> Response:
        with Client(page(""), request=request) as client:
            async with bench.page(request, "Page not found", ""):
                missing("There is nothing at this address. It may have been deleted.")
        return client.build_response(request, 404)

    app.mount(STATIC_PATH, StaticFiles(directory=STATIC))
    ui.run_with(
        app,
        title="submarine-ray",
        favicon=STATIC / "favicon.svg",
        dark=None,
        language="en-US",
        tailwind=False,
        reconnect_timeout=RECONNECT_SECONDS,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    app.router.routes[-1] = _Pages("", app=Guarded(Kept(core.app)))


class _Pages(Mount):
    """Everything that no other route takes, except what looks like the API: there a program asks, not a person."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE, {}) if scope["path"].startswith(("/api/", "/v1/")) else super().matches(scope)
