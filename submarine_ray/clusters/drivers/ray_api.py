"""The documents of Ray's REST APIs for jobs and for Serve, as far as they are written and read here.

Source: Ray's `python/ray/dashboard/modules/job/pydantic_models.py` and `python/ray/serve/schema.py`.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from submarine_ray.spec.json_types import Json, JsonObject


class JobDetails(TypedDict, total=False):
    """A job; times are in ms since 1970."""

    submission_id: str
    status: str
    error_type: str | None
    message: str | None
    driver_exit_code: int | None
    driver_node_id: str | None
    start_time: int | None
    end_time: int | None


class ActorOptions(TypedDict, total=False):
    """What a replica asks of Ray; memory in bytes."""

    num_cpus: float
    num_gpus: float
    memory: int


class Deployment(TypedDict, total=False):
    """A deployment's configuration."""

    name: str
    num_replicas: int
    autoscaling_config: JsonObject
    ray_actor_options: ActorOptions
    max_ongoing_requests: int
    max_surge_percent: int
    health_check_period_s: float
    user_config: JsonObject


class Application(TypedDict):
    """An application's configuration."""

    name: str
    route_prefix: str | None
    import_path: str
    args: JsonObject
    logging_config: NotRequired[JsonObject]
    deployments: list[Deployment]


class ServeConfig(TypedDict):
    """The configuration of all applications of a cluster: the body of the PUT."""

    proxy_location: str
    http_options: JsonObject
    applications: list[Application]


def no_applications() -> ServeConfig:
    return {"proxy_location": "HeadOnly", "http_options": {}, "applications": []}


class Replica(TypedDict, total=False):
    """A process that answers for a deployment; `log_file_path` is None while it starts."""

    replica_id: str
    state: str
    node_id: str
    node_ip: str
    actor_id: str
    log_file_path: str | None
    pid: int | None
    start_time_s: float | None


class DeploymentDetails(TypedDict, total=False):
    """A deployment's state."""

    status: str
    message: str
    replicas: list[Replica]


class ApplicationDetails(TypedDict, total=False):
    """An application's state; `deployed_app_config` is None where it was not declared by a PUT."""

    status: str
    message: str
    deployments: dict[str, DeploymentDetails]
    deployed_app_config: Application | None


class InstanceDetails(TypedDict, total=False):
    """The state of Serve on a cluster: the answer to the GET."""

    applications: dict[str, ApplicationDetails]
    proxies: dict[str, JsonObject]
    http_options: Json
