"""The metrics of a run, and below them, in a group of its own, what the machines of its replicas did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from submarine_ray.spec.system_metrics import is_system
from submarine_ray.workbench import metrics
from submarine_ray.workbench.query_cache import run_query
from submarine_ray.workbench.services import Services


async def draw(services: Services, runs: metrics.Runs) -> Callable[[], Awaitable[None]]:
    """Draw both; answers what brings them up to date. The charts of the system are drawn once the group is open."""
    refresh_own = await metrics.draw(services, runs)
    group = ui.expansion("System metrics", icon="memory").classes("card system-metrics")
    group.set_visibility(False)
    refreshes: list[Callable[[], Awaitable[None]]] = []

    async def refresh_system() -> None:
        if refreshes:
            await refreshes[0]()
        elif not group.visible:
            latest = await run_query(services.tracking.latest, tuple(await run_query(runs)))
            group.set_visibility(any(is_system(one.key) for one in latest))

    async def open_group() -> None:
        if group.value and not refreshes:
            with group:
                refreshes.append(await metrics.draw(services, runs, of_system=True))

    async def refresh() -> None:
        await refresh_own()
        await refresh_system()

    group.on_value_change(open_group)
    await refresh_system()
    return refresh
