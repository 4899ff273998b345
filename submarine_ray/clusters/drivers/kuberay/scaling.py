"""Keeps an endpoint's number of pods equal to its replicas, which KubeRay does not do.

Source: KubeRay's rayservice_controller.go compares hashes that leave the sizes of worker groups out, so a RayService
with other many replicas changes nothing of the RayCluster that is there. decisions/0023 has what else was weighed.
"""

from __future__ import annotations

import structlog

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.kuberay import manifests, names
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace
from submarine_ray.clusters.drivers.kuberay.objects import Object
from submarine_ray.clusters.drivers.ray_api import Replica

log = structlog.get_logger(__name__)


def sides(service: Object) -> list[str]:
    """The RayClusters of a RayService: the one that answers, then the one that is to follow it."""
    status = service["status"]
    clusters = (status[key].get("rayClusterName") for key in ("activeServiceStatus", "pendingServiceStatus"))
    return [str(cluster) for cluster in clusters if cluster]


def wanted(service: Object) -> int | None:
    """How many replicas a RayService shall have; None of one that an earlier version made."""
    found = service["metadata"]["annotations"].get(names.REPLICAS_ANNOTATION)
    return int(found) if found else None


def has_shape(at: Namespace, service: Object, ray_cluster: str) -> bool:
    """Whether a RayCluster was made of what its RayService says now; sizes apart. Its pods know."""
    shape = service["metadata"]["annotations"].get(names.SHAPE_ANNOTATION)
    shapes = {pod["metadata"]["annotations"].get(names.SHAPE_ANNOTATION) for pod in at.pods_of(ray_cluster)}
    return not shapes or shape in shapes


def resize(at: Namespace, endpoint: str, service: Object) -> None:
    """Bring the pods of an endpoint a step closer to its replicas: more at once, fewer when Serve has let them go.

    Raises Unreachable.
    """
    count = wanted(service)
    if count is None:
        return
    for name in sides(service):
        cluster = at.clusters.get(name)
        there = cluster["status"]["sizes"].get(manifests.ENDPOINT_GROUP) if cluster else None
        if there is None or there == count or not has_shape(at, service, name):
            continue
        if there < count:
            _write(at, name, count, [])
        elif idle := _idle(at, endpoint, name, count)[: there - count]:
            _write(at, name, there - len(idle), idle)


def _idle(at: Namespace, endpoint: str, ray_cluster: str, count: int) -> list[str]:
    """The worker pods that no replica needs any more; none while Serve has more replicas than it shall have."""
    replicas = at.dashboard(ray_cluster).replicas(endpoint)
    if len(replicas) > count or running(replicas) < count:
        return []
    busy = {replica.get("node_ip") for replica in replicas}
    return sorted(
        pod["metadata"]["name"]
        for pod in at.pods_of(ray_cluster)
        if pod["metadata"]["labels"].get("ray.io/node-type") == "worker" and pod["status"].get("podIP") not in busy
    )


def running(replicas: list[Replica]) -> int:
    """How many of an endpoint's replicas answer."""
    return sum(replica.get("state") == "RUNNING" for replica in replicas)


def _write(at: Namespace, name: str, replicas: int, without: list[str]) -> None:
    path = at.path("rayclusters", name)
    try:
        at.clusters.put(at.api.replace(path, manifests.resized(at.api.get(path), replicas, without)))
    except ApiError as failure:
        if failure.status not in (404, 409):  # it is gone, or was changed by somebody else: the next look tells
            raise Unreachable(f"the RayCluster {name} cannot be resized: {failure}") from failure
        return
    log.info("kuberay.endpoint_resized", cluster=name, pods=replicas)
