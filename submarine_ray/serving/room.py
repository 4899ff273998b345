"""Decides whether a changed endpoint's new replicas start before its old ones end, or after. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from submarine_ray.clusters.drivers.base import Served, size_of
from submarine_ray.clusters.drivers.ray_api import Application, Deployment, ServeConfig
from submarine_ray.spec.quantities import GIB, Resources

_KINDS: tuple[tuple[Callable[[Resources], float], str], ...] = (
    (lambda one: one.gpu, "GPU"),
    (lambda one: one.cpu, "CPU"),
    (lambda one: one.memory / GIB, "GiB of memory"),
)
_WAITS = "to be scheduled"  # in Ray Serve's words for a replica that finds no room


@dataclass(frozen=True)
class InPlace:
    """An endpoint whose old replicas must end first, and why."""

    name: str
    message: str


def arrange(config: ServeConfig, serve: Served, total: Resources | None, used: Resources) -> list[InPlace]:
    """Mark in `config` the changed applications that Serve must replace in place; returns them with the reasons.

    `used` is what is held once all is as `config` has it; `total` is None where the cluster has no bound.
    """
    found = []
    for wanted in config["applications"]:
        running = _running(serve, wanted["name"])
        if running is None:
            continue
        surge = running.get("max_surge_percent", 100)
        deployment = wanted["deployments"][0]
        if _same(serve, wanted):
            deployment["max_surge_percent"] = surge  # as it is: to change it would be a change
        elif total is not None and (why := _cramped(running, deployment, total, used)):
            deployment["max_surge_percent"] = 0
            found.append(InPlace(wanted["name"], why))
    return found


def waits(message: str | None) -> bool:
    """Whether Serve says that a replica finds no room."""
    return _WAITS in (message or "")


def stuck(serve: Served) -> list[str]:
    """Applications whose new replica waits for resources that their own old replicas hold."""
    found = []
    for name, application in serve["applications"].items():
        model = (application.get("deployments") or {}).get("model") or {}
        running = _running(serve, name)
        old = any(one.get("state") == "RUNNING" for one in model.get("replicas", []))
        is_replacing = model.get("status") == "UPDATING"  # not only growing
        if is_replacing and old and running and running.get("max_surge_percent") and waits(model.get("message")):
            found.append(name)
    return found


def in_place(config: ServeConfig, serve: Served, names: list[str]) -> list[InPlace]:
    """Mark these applications to be replaced in place, and leave the others unchanged."""
    for wanted in config["applications"]:
        running = _running(serve, wanted["name"])
        if running is not None:
            surge = 0 if wanted["name"] in names else running.get("max_surge_percent", 100)
            wanted["deployments"][0]["max_surge_percent"] = surge
    return [InPlace(name, _say("the cluster has no room for another replica")) for name in names]


def _running(serve: Served, name: str) -> Deployment | None:
    """The current configuration of an application's model deployment; None where Serve shows none."""
    config = (serve["applications"].get(name) or {}).get("deployed_app_config")
    deployments = (config.get("deployments") or []) if config else []
    return next((one for one in deployments if one.get("name") == "model"), None)


def _same(serve: Served, wanted: Application) -> bool:
    """Whether the change replaces no replica."""
    there = serve["applications"][wanted["name"]].get("deployed_app_config")
    running = _running(serve, wanted["name"]) or {}
    return (
        size_of(running) == size_of(wanted["deployments"][0])
        and there is not None
        and there.get("args") == wanted["args"]
        and there.get("import_path") == wanted["import_path"]
    )


def _cramped(running: Deployment, wanted: Deployment, total: Resources, used: Resources) -> str | None:
    """Why not even one new replica fits beside the old ones; None if it does."""
    old, new = size_of(running), size_of(wanted)
    before = old.times(int(running.get("num_replicas", 1)))
    after = new.times(int(wanted["num_replicas"]))
    for of, kind in _KINDS:
        free = of(total) - of(used) + of(after) - of(before)
        if of(new) > free + 1e-6:
            there = f"{max(0.0, free):.4g} of {of(total):.4g} is free"
            return _say(f"another replica needs {of(new):.4g} {kind}, and {there}")
    return None


def _say(why: str) -> str:
    return f"Replaced in place: {why}. The old replica ends first; until the new one has loaded, requests wait or fail."
