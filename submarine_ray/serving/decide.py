"""The pure heart of serving: rows in, Serve's declarative configuration out; Serve's status in, endpoint states out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from submarine_ray.clusters.drivers.base import Fence
from submarine_ray.serving.tables import EndpointRow, TrafficRow
from submarine_ray.spec.quantities import Resources
from submarine_ray.spec.serving import EndpointStatus

IMPORT_PATH = "serve_apps.mlflow_model:build"
SPLIT_IMPORT_PATH = "serve_apps.traffic:build"
TOKEN = "tracking_token"  # noqa: S105 (the argument's name)
# A splitter waits for models and computes little. One with more requests than this at a time gets another beside it.
SPLITTER_REQUESTS = 50
MOST_SPLITTERS = 4
SPLITTER_CPU = 0.25
# A line a request would cost throughput, and hide the lines that matter; figures.py has the numbers.
LOGGING = {"enable_access_log": False}


@dataclass(frozen=True)
class Desired:
    """An endpoint that shall be there; `token` reads its model from MLflow, unless the cluster has it on its disk."""

    name: str
    model_name: str
    model_version: int
    model_uri: str
    replicas: int
    cpu: float
    gpu: float
    memory: int = 0
    token: str | None = None


def route(model_name: str, model_version: int) -> str:
    """The path prefix of an endpoint."""
    return f"/{model_name}/{model_version}"


def actor_options(size: Resources) -> dict[str, Any]:
    """What a replica asks of Ray. Memory only where it is asked for: a key more would be a change to Serve."""
    options: dict[str, Any] = {"num_cpus": size.cpu, "num_gpus": size.gpu}
    return options | ({"memory": size.memory} if size.memory else {})


def application(endpoint: Desired, tracking_uri: str) -> dict[str, Any]:
    """One application in the form of Ray Serve's REST API."""
    deployment = {
        "name": "model",
        "num_replicas": endpoint.replicas,
        "ray_actor_options": actor_options(Resources(endpoint.cpu, endpoint.memory, endpoint.gpu)),
        # A probe is a request too, and must not wait behind predictions; the replica limits those itself.
        "max_ongoing_requests": 2000,
        # A replica that says that it is broken, or has crashed, is replaced in seconds.
        "health_check_period_s": 2,
        # The new replica first, then the old one away: no gap in a rolling update.
        "max_surge_percent": 100,
    }
    return {
        "name": endpoint.name,
        "route_prefix": route(endpoint.model_name, endpoint.model_version),
        "import_path": IMPORT_PATH,
        "args": {
            "model_uri": endpoint.model_uri,
            "model_name": endpoint.model_name,
            "model_version": str(endpoint.model_version),
            "tracking_uri": tracking_uri,
            **({TOKEN: endpoint.token} if endpoint.token else {}),
        },
        "logging_config": LOGGING,
        "deployments": [deployment],
    }


@dataclass(frozen=True)
class Split:
    """A model's requests, shared out to its versions by weight.

    `replicas` is how many processes answer behind it, `nodes` how many nodes its cluster has.
    """

    model_name: str
    weights: Mapping[int, int]
    endpoints: Mapping[int, str]
    cpu: float
    replicas: int = 1
    nodes: int = 1

    @property
    def most(self) -> int:
        """The splitter's own replicas under load: no more than those that it fronts."""
        return max(1, min(self.replicas, MOST_SPLITTERS))

    @property
    def least(self) -> int:
        """Its replicas at rest: two where there are two nodes for them, so that one node's loss does not stop it."""
        return max(1, min(self.most, 2, self.nodes))

    @property
    def demand(self) -> Resources:
        """What its replicas may hold together."""
        return Resources(cpu=self.cpu).times(self.most)


def split_name(model_name: str) -> str:
    """The application that shares out; a colon is in no endpoint's name."""
    return f"traffic:{model_name}"


def split_of(traffic: TrafficRow, endpoints: Iterable[EndpointRow], nodes: int = 1) -> Split:
    """How a model's requests are shared out to those of a cluster's `endpoints` that have a weight."""
    weights = {int(version): int(weight) for version, weight in orjson.loads(traffic.weights).items()}
    fronted = {one.model_version: one for one in endpoints if one.model_name == traffic.model_name}
    fronted = {version: one for version, one in fronted.items() if version in weights}
    return Split(
        traffic.model_name,
        {version: weights[version] for version in fronted},
        {version: one.name for version, one in fronted.items()},
        min(max((one.cpu for one in fronted.values()), default=0.0), SPLITTER_CPU),
        sum(one.replicas for version, one in fronted.items() if weights[version]),
        nodes,
    )


def split_application(split: Split) -> dict[str, Any]:
    routes = [
        {"version": str(version), "application": split.endpoints[version], "weight": weight}
        for version, weight in sorted(split.weights.items())
    ]
    deployment = {
        "name": "traffic",
        # Serve spreads replicas over the nodes where it can (deployment_scheduler.py). To insist on it
        # (max_replicas_per_node) would leave one waiting after a node's loss, and a change of it restarts them all.
        "autoscaling_config": {
            "min_replicas": split.least,
            "max_replicas": split.most,
            "target_ongoing_requests": SPLITTER_REQUESTS,
        },
        "ray_actor_options": {"num_cpus": split.cpu},
        "max_ongoing_requests": 1000,
        "user_config": {"routes": routes},  # changed in place: no replica is started for new weights
    }
    return {
        "name": split_name(split.model_name),
        "route_prefix": f"/{split.model_name}",  # the versions' own, which are longer, win
        "import_path": SPLIT_IMPORT_PATH,
        "args": {},
        "logging_config": LOGGING,
        "deployments": [deployment],
    }


def configuration(
    endpoints: Iterable[Desired],
    splits: Iterable[Split],
    tracking_uri: str,
    http_options: dict[str, Any],
    hosts: Callable[[str], Sequence[str]] = lambda _application: (),
) -> dict[str, Any]:
    """All of a cluster's applications: Serve's PUT replaces everything. `hosts` are further names one answers to."""
    applications = [
        *(application(endpoint, tracking_uri) for endpoint in endpoints),
        *(split_application(split) for split in splits),
    ]
    for one in applications:
        if allowed := hosts(one["name"]):
            one["args"]["allowed_hosts"] = list(allowed)
    return {"proxy_location": "HeadOnly", "http_options": http_options, "applications": applications}


def digest(config: dict[str, Any]) -> str:
    """What tells a configuration from others."""
    return hashlib.sha256(orjson.dumps(config)).hexdigest()[:16]


def differs(config: dict[str, Any], fence: Fence, serve: Mapping[str, Any]) -> bool:
    """Whether a cluster, which shows `serve`, has something else than this: it was not told yet, was started anew, or
    was told something older since. A cluster that has nothing and shall have nothing is left alone.
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
    """What an endpoint is called that is not yet as was asked for."""
    return EndpointStatus.UPDATING if before == EndpointStatus.UPDATING else EndpointStatus.CREATING


def observed(
    name: str, serve: dict[str, Any], before: str = EndpointStatus.CREATING, replicas: int | None = None
) -> tuple[str, str | None]:
    """An endpoint's status and message, from Serve's status document, its status `before`, and how many `replicas` it
    shall have.
    """
    found = serve.get("applications", {}).get(name)
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
    """What a replica itself said (serve_apps' CannotServe, always one line), without its traceback."""
    said = re.findall(r"CannotServe: (.+)", message)
    if said:
        return str(said[-1])[:2000]
    if "health check failed" in message:
        return "A replica has crashed or is broken, as its log says; another is started in its place."
    return message[-2000:]


def _lacks(application: dict[str, Any], replicas: int | None) -> str | None:
    """Serve calls an application running until it has taken a change on; its replicas tell more, if listed."""
    listed = application.get("deployments", {}).get("model", {}).get("replicas")
    if listed is None or replicas is None:
        return None
    there = sum(one.get("state") == "RUNNING" for one in listed)
    return None if there == replicas else f"{there} replicas answer; {replicas} are wanted."


def gone(name: str, serve: dict[str, Any]) -> bool:
    return name not in serve.get("applications", {})
