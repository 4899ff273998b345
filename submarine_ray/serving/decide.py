"""Decides the next step for a cluster's Serve, and the states of its endpoints, from what Serve shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeVar

from submarine_ray.clusters.drivers.base import Fence, Served, nothing_served
from submarine_ray.clusters.drivers.ray_api import ApplicationDetails, ServeConfig, no_applications
from submarine_ray.serving import room
from submarine_ray.serving.applications import weights_of
from submarine_ray.serving.room import InPlace
from submarine_ray.serving.tables import EndpointRow, ServingRow, TrafficRow, split_name
from submarine_ray.spec.quantities import Resources
from submarine_ray.spec.serving import EndpointStatus

# After how many ms a cluster is observed again: after a PUT, while something changes, in the desired state, and without
# endpoints. The last two find a late PUT of a service that had been suspended.
TOLD, CHANGING, STEADY, EMPTY = 200, 500, 5_000, 60_000


Row = TypeVar("Row", EndpointRow, TrafficRow)


@dataclass(frozen=True)
class Observed:
    """A cluster's desired state, read under its lease, and its observed state. `digest` is the hash of `config`."""

    endpoints: Sequence[EndpointRow] = ()
    traffic: Sequence[TrafficRow] = ()
    config: ServeConfig = field(default_factory=no_applications)
    digest: str = ""
    serve: Served = field(default_factory=nothing_served)
    total: Resources | None = None
    used: Resources = field(default_factory=Resources)
    answering: Collection[str] = ()
    """Endpoints that Serve's proxy answers for, of those that Serve began to call running."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Why endpoints find no room."""
    is_registered: bool = True

    @property
    def staying(self) -> list[EndpointRow]:
        return [row for row in self.endpoints if row.status != EndpointStatus.DELETING]


@dataclass(frozen=True)
class Put:
    """Send Serve its whole configuration. `cramped`: endpoints that are replaced in place, and why."""

    config: ServeConfig
    digest: str
    cramped: Sequence[InPlace] = ()


@dataclass(frozen=True)
class Note:
    """Write what Serve shows: a status and a message for each endpoint and each model's traffic that has changed."""

    endpoints: Sequence[tuple[EndpointRow, str, str | None]] = ()
    traffic: Sequence[tuple[TrafficRow, str, str | None]] = ()
    ended: Sequence[str] = ()
    """Endpoints that were to be deleted and are gone."""
    pause_ms: int = STEADY


@dataclass(frozen=True)
class Forget:
    """The cluster is not registered any more, and nothing is to be served there."""


Step = Put | Note | Forget


def next_step(row: ServingRow, observed: Observed) -> Step:
    """PUT if the cluster differs from its desired state; else note its observed state."""
    if not observed.is_registered:
        return Forget()
    config = deepcopy(observed.config)
    if differs(config, Fence(row.generation, observed.digest), observed.serve):
        cramped = room.arrange(config, observed.serve, observed.total, observed.used)
        return Put(config, observed.digest, cramped)
    if stuck := room.stuck(observed.serve):
        return Put(config, observed.digest, room.in_place(config, observed.serve, stuck))
    return _note(observed)


def refused(observed: Observed, why: str) -> list[tuple[EndpointRow, str, str | None]]:
    """The states after a cluster has refused a configuration. Running endpoints keep theirs."""
    late = [row for row in observed.staying if row.status != EndpointStatus.RUNNING]
    return _changed([(row, EndpointStatus.FAILED, why) for row in late])


def _note(observed: Observed) -> Note:
    leaving = [row.name for row in observed.endpoints if row.status == EndpointStatus.DELETING]
    ended = [name for name in leaving if gone(name, observed.serve)]
    endpoints = [(row, *state(row, observed)) for row in observed.staying]
    traffic = [(row, *_split_state(row, observed)) for row in observed.traffic]
    statuses = {status for _, status, _ in endpoints} | {status for _, status, _ in traffic}
    is_changing = len(ended) < len(leaving) or not statuses <= {EndpointStatus.RUNNING}
    pause = CHANGING if is_changing else STEADY if statuses else EMPTY
    return Note(_changed(endpoints), _changed(traffic), ended, pause)


def _split_state(row: TrafficRow, observed: Observed) -> tuple[str, str | None]:
    if weights_of(row) is None:
        return (
            EndpointStatus.FAILED,
            "Its stored weights cannot be read, and stay as the cluster has them: set them anew.",
        )
    return shown(split_name(row.model_name), observed.serve)


def _changed(found: Sequence[tuple[Row, str, str | None]]) -> list[tuple[Row, str, str | None]]:
    return [(row, status, message) for row, status, message in found if (status, message) != (row.status, row.message)]


def state(row: EndpointRow, observed: Observed) -> tuple[str, str | None]:
    """An endpoint's state. It is Running only once it answers, because the proxy may start after the replicas."""
    status, message = shown(row.name, observed.serve, row.status, row.replicas)
    if status == EndpointStatus.RUNNING != row.status and row.name not in observed.answering:
        return changing(row.status), "The replicas run; Serve's HTTP proxy does not answer yet."
    return status, observed.waiting.get(row.name, message)


def differs(config: ServeConfig, fence: Fence, serve: Served) -> bool:
    """Whether a cluster's configuration differs from this one: it has not got it yet, has been restarted, or has got an
    older one since. A cluster that has no applications and needs none does not differ.
    """
    names = {application["name"] for application in config["applications"]}
    declared = set(serve["declared"])
    return declared != names or (bool(names) and serve["fence"] != fence)


_STATES = {
    "RUNNING": EndpointStatus.RUNNING,
    "DEPLOY_FAILED": EndpointStatus.FAILED,
    "UNHEALTHY": EndpointStatus.FAILED,
}


def changing(before: str) -> str:
    """The status of an endpoint that has not reached its desired state yet."""
    return EndpointStatus.UPDATING if before == EndpointStatus.UPDATING else EndpointStatus.CREATING


def shown(
    name: str, serve: Served, before: str = EndpointStatus.CREATING, replicas: int | None = None
) -> tuple[str, str | None]:
    """An endpoint's status and message, from Serve's state, its status `before` and its desired `replicas`."""
    found = serve["applications"].get(name)
    if found is None:
        return EndpointStatus.CREATING, None
    status = _STATES.get(found.get("status", ""), changing(before))
    if status == EndpointStatus.RUNNING:
        is_late = before != EndpointStatus.RUNNING and (lacks := _lacks(found, replicas))
        return (changing(before), lacks) if is_late else (status, None)
    # A deployment's message has the exception; the application's only counts deployments.
    messages = [d.get("message", "") for d in found.get("deployments", {}).values()] + [found.get("message", "")]
    return status, next((_reason(message) for message in messages if message), None)


def _reason(message: str) -> str:
    """The message of a replica's own error (serve_apps' CannotServe, always one line), without the traceback."""
    said = re.findall(r"CannotServe: (.+)", message)
    if said:
        return str(said[-1])[:2000]
    if "health check failed" in message:
        return "A replica has crashed or is broken, as its log says; another is started in its place."
    return message[-2000:]


def _lacks(application: ApplicationDetails, replicas: int | None) -> str | None:
    """Which replicas are missing, where Serve lists them: an application is RUNNING before a change is applied."""
    model = (application.get("deployments") or {}).get("model") or {}
    if "replicas" not in model or replicas is None:
        return None
    there = sum(one.get("state") == "RUNNING" for one in model["replicas"])
    return None if there == replicas else f"Replicas: {there} ready, {replicas} requested."


def gone(name: str, serve: Served) -> bool:
    return name not in serve["applications"]
