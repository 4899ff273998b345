"""The fencing number in Serve's configuration, and how it is read again.

Serve's REST API replaces everything at once and compares nothing. So the configuration itself says which generation it
is of: one application more, without replicas or a route, whose `user_config` Serve stores and shows. Who has put a
newer generation there finds an older one by its number, and puts its own again.
"""

from __future__ import annotations

from submarine_ray.clusters.drivers.base import Fence, Served, Superseded
from submarine_ray.clusters.drivers.ray_api import Application, Deployment, InstanceDetails, ServeConfig
from submarine_ray.spec.json_types import object_in, text_at

APPLICATION = "submarine:fence"  # a colon is in no endpoint's name
_DEPLOYMENT = "fence"


def fenced(config: ServeConfig, fence: Fence) -> ServeConfig:
    """Serve's configuration with the number of its generation."""
    deployment: Deployment = {
        "name": _DEPLOYMENT,
        "autoscaling_config": {"min_replicas": 0, "max_replicas": 1},
        "ray_actor_options": {"num_cpus": 0},
        "user_config": {"number": fence.number, "digest": fence.digest},
    }
    carrier: Application = {
        "name": APPLICATION,
        "route_prefix": None,
        "import_path": "serve_apps.fence:build",
        "args": {},
        "deployments": [deployment],
    }
    return {**config, "applications": [*config["applications"], carrier]}


def unfenced(document: InstanceDetails) -> Served:
    """Serve's state without the application of the fence, and with what that says."""
    applications = dict(document.get("applications") or {})
    carrier = applications.pop(APPLICATION, {}).get("deployed_app_config")
    said = next((object_in(one.get("user_config")) for one in carrier.get("deployments") or []), {}) if carrier else {}
    # What is being deleted, or was started with serve.run, has none; a PUT does nothing to either.
    declared = sorted(name for name, one in applications.items() if one.get("deployed_app_config"))
    number = said.get("number")
    fence = Fence(number if isinstance(number, int) else 0, text_at(said, "digest"))
    return {
        "applications": applications,
        "declared": declared,
        "fence": fence,
        "proxies": document.get("proxies") or {},
    }


def check(found: Fence, own: Fence) -> None:
    """Raises Superseded where a newer generation was put than `own`, or where that may be."""
    if found.number > own.number:
        raise Superseded(f"it has generation {found.number} already, and this one is {own.number}", found.number)
    if not own.is_held():
        raise Superseded("the lease on it has ended: another service may have put a newer generation there")
