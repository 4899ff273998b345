"""Builds Ray Serve's declarative configuration for a cluster from the rows of its endpoints. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from submarine_ray.clusters.drivers.ray_api import ActorOptions, Application, Deployment, ServeConfig
from submarine_ray.serving.tables import EndpointRow, TrafficRow, split_name
from submarine_ray.spec.json_types import Json, JsonObject
from submarine_ray.spec.quantities import Resources

IMPORT_PATH = "serve_apps.mlflow_model:build"
SPLIT_IMPORT_PATH = "serve_apps.traffic:build"
TOKEN = "tracking_token"  # noqa: S105 (the argument's name)
# A splitter waits for models and computes little. One with more requests than this at a time gets another beside it.
SPLITTER_REQUESTS = 50
MOST_SPLITTERS = 4
SPLITTER_CPU = 0.25
# A line a request would cost throughput, and hide the lines that matter; metrics.py has the numbers.
LOGGING: JsonObject = {"enable_access_log": False}


@dataclass(frozen=True)
class Desired:
    """An endpoint's desired state. `token` reads its model from MLflow, unless that is on the cluster's disk."""

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


def actor_options(size: Resources) -> ActorOptions:
    """What a replica asks of Ray. Memory only where it is asked for: a key more would be a change to Serve."""
    options: ActorOptions = {"num_cpus": size.cpu, "num_gpus": size.gpu}
    if size.memory:
        options["memory"] = size.memory
    return options


def application(endpoint: Desired, tracking_uri: str) -> Application:
    """One application in the form of Ray Serve's REST API."""
    deployment: Deployment = {
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
    """How a model's requests are split between its versions, by weight.

    `replicas` is how many processes answer behind it, `nodes` how many nodes its cluster has, `counted_as` the name
    that its requests are counted under.
    """

    model_name: str
    weights: Mapping[int, int]
    endpoints: Mapping[int, str]
    cpu: float
    replicas: int = 1
    nodes: int = 1
    counted_as: str = ""

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


def weights_name(weights: Mapping[int, int]) -> str:
    """A short name for weights: what was counted under others says nothing about the shares under these."""
    return hashlib.sha256(orjson.dumps(sorted(weights.items()))).hexdigest()[:8]


def weights_of(traffic: TrafficRow) -> dict[int, int] | None:
    """The weights by version; None if what is stored cannot be read."""
    try:
        return {int(version): int(weight) for version, weight in orjson.loads(traffic.weights).items()}
    except (ValueError, TypeError, AttributeError):
        return None


def split_of(traffic: TrafficRow, endpoints: Iterable[EndpointRow], nodes: int = 1) -> Split | None:
    """How a model's requests are split between those of a cluster's `endpoints` that have a weight; None if the weights
    cannot be read.
    """
    weights = weights_of(traffic)
    if weights is None:
        return None
    fronted = {one.model_version: one for one in endpoints if one.model_name == traffic.model_name}
    fronted = {version: one for version, one in fronted.items() if version in weights}
    return Split(
        traffic.model_name,
        {version: weights[version] for version in fronted},
        {version: one.name for version, one in fronted.items()},
        min(max((one.cpu for one in fronted.values()), default=0.0), SPLITTER_CPU),
        sum(one.replicas for version, one in fronted.items() if weights[version]),
        nodes,
        weights_name(weights),
    )


def split_application(split: Split) -> Application:
    routes: list[Json] = [
        {"version": str(version), "application": split.endpoints[version], "weight": weight}
        for version, weight in sorted(split.weights.items())
    ]
    deployment: Deployment = {
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
        # Changed in place: no replica is started for new weights.
        "user_config": {"routes": routes, "weights": split.counted_as},
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
    http_options: JsonObject,
    hosts: Callable[[str], Sequence[str]] = lambda _application: (),
    kept: Iterable[Application] = (),
) -> ServeConfig:
    """The configuration of all applications of a cluster, because Serve's PUT replaces them all.

    `hosts` returns further host names that an application accepts; `kept` stay as the cluster has them.
    """
    applications = [
        *(application(endpoint, tracking_uri) for endpoint in endpoints),
        *(split_application(split) for split in splits),
    ]
    for one in applications:
        if allowed := hosts(one["name"]):
            one["args"]["allowed_hosts"] = list(allowed)
    return {"proxy_location": "HeadOnly", "http_options": http_options, "applications": [*applications, *kept]}


def digest(config: ServeConfig) -> str:
    """A short hash of a configuration."""
    return hashlib.sha256(orjson.dumps(config)).hexdigest()[:16]
