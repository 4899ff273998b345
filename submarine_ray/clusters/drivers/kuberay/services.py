"""Endpoints as RayServices: KubeRay starts a changed one beside the old, and moves the traffic when it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from submarine_ray.clusters.drivers import fences
from submarine_ray.clusters.drivers.base import (
    Blocked,
    Fence,
    Served,
    SubmissionRefused,
    UnknownJob,
    Unreachable,
    size_of,
)
from submarine_ray.clusters.drivers.kuberay import fencing, manifests, names, scaling, silence
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace, has_condition, refusal
from submarine_ray.clusters.drivers.kuberay.objects import Fields, Object
from submarine_ray.clusters.drivers.ray_api import Application, ApplicationDetails, Replica, ServeConfig
from submarine_ray.clusters.drivers.ray_jobs import RayJobs

ENDPOINT_ANNOTATION = "submarine-ray/endpoint"
_BEING_MADE = "The pods of the changed endpoint are being made; those before answer until they do."


def service_name(endpoint: str) -> str:
    """The RayService of an endpoint."""
    return names.object_name(endpoint)


def token_name(endpoint: str) -> str:
    """The Secret with the token of an endpoint."""
    return names.object_name(f"{endpoint}-token")


class RayServices:
    """The serving half of the drivers: Serve's declarative configuration, one RayService an application."""

    def __init__(self, namespace: Namespace) -> None:
        self._at = namespace
        # As what an endpoint was last seen whole: then Serve need not be asked again.
        self._whole: dict[str, tuple[str, object]] = {}

    def applications(self) -> Served:
        """As Serve's REST API would show them, were they in one cluster."""
        living = self._living()
        found = [fencing.of(service) for service in living.values()]
        digests = {one.digest for one in found}
        return {
            "applications": {name: self._application(name, service) for name, service in living.items()},
            "declared": sorted(living),
            "fence": Fence(min((one.number for one in found), default=0), digests.pop() if len(digests) == 1 else ""),
        }

    def maintain(self, fence: Fence) -> None:
        """Have as many pods as replicas."""
        self._resize()

    def _resize(self) -> None:
        for endpoint, service in self._living().items():
            with contextlib.suppress(Unreachable):  # of one endpoint's cluster; the next look tries again
                scaling.resize(self._at, endpoint, service)

    def put_applications(self, config: ServeConfig, fence: Fence) -> None:
        try:
            wanted = {application["name"]: application for application in config["applications"]}
            existing = {
                service["metadata"]["annotations"].get(ENDPOINT_ANNOTATION): service
                for service in self._at.services.objects().values()
            }
            for service in existing.values():
                fences.check(fencing.of(service), fence)
            for endpoint, application in wanted.items():
                manifest = self._manifest(endpoint, application)
                if (
                    written := fencing.put(self._at, "rayservices", manifest, existing.get(endpoint), fence)
                ) is not None:
                    self._at.services.put(written)
            self._resize()
            for former, service in existing.items():
                if former not in wanted:
                    fencing.delete(self._at, "rayservices", service["metadata"]["name"], fence)
                    self._at.delete("secrets", token_name(str(former)))
            self._at.delete("secrets", f"submarine-tracking-{self._at.uid[:8]}")  # of earlier versions: the service's
        except Blocked as failure:
            raise SubmissionRefused(str(failure)) from failure

    def serve_metrics(self, applications: Collection[str] = ()) -> list[str]:
        """Pods export them on ports of their own, which only who stands in the same network reaches."""
        if not self._at.is_direct:
            return []
        found: list[str] = []
        for dashboard in filter(None, map(self._dashboard, self._at.services.objects().values())):
            with contextlib.suppress(Unreachable):  # one endpoint's cluster; the others' figures count
                found += dashboard.serve_metrics(applications)
        return found

    def replicas(self, endpoint: str) -> list[Replica]:
        dashboard = self._dashboard(self._at.services.get(service_name(endpoint)))
        return dashboard.replicas(endpoint) if dashboard else []

    def replica_log(self, endpoint: str, replica_id: str, lines: int) -> str:
        dashboard = self._dashboard(self._at.services.get(service_name(endpoint)))
        if dashboard is None:
            raise UnknownJob(replica_id)
        return dashboard.replica_log(endpoint, replica_id, lines)

    def dispose(self) -> None:
        """Take everything of this registration away."""
        try:
            for name in self._at.services.objects():
                self._at.delete("rayservices", name)
            for plural in ("secrets", "configmaps"):
                items, _ = self._at.api.list(self._at.path(plural), names.selector(self._at.uid))
                for item in items:
                    self._at.delete(plural, item["metadata"]["name"])
        except ApiError as failure:
            raise Unreachable(str(failure)) from failure

    def close(self) -> None:
        self._at.close()

    def _manifest(self, endpoint: str, application: Application) -> Object:
        arguments = dict(application["args"])
        token = arguments.pop("tracking_token", None)  # not where everyone reads it who may see RayServices
        application = {**application, "args": arguments}
        deployment = application["deployments"][0]
        manifest = manifests.ray_service(
            self._at.pod_spec(),
            self._at.uid,
            service_name(endpoint),
            {"applications": [application]},
            (size_of(deployment), int(deployment["num_replicas"])),
            self._at.ensure_runner(),
            self._token_reference(endpoint, str(token)) if token else None,
        )
        manifest["metadata"]["annotations"][ENDPOINT_ANNOTATION] = endpoint
        return manifest

    def _dashboard(self, service: Object | None) -> RayJobs | None:
        """Of the Ray cluster that answers for a RayService, or of its first one while that starts."""
        if service is None:
            return None
        return next(map(self._at.dashboard, scaling.sides(service)), None)

    def _token_reference(self, endpoint: str, token: str) -> tuple[str, str]:
        """Where an endpoint's replicas find what reads their model from this service's MLflow."""
        name = token_name(endpoint)
        wanted = manifests.secret(self._at.spec, name, names.own_labels(self._at.uid), {"token": token})
        if self._at.create("secrets", wanted) is None:
            try:
                self._at.api.patch(self._at.path("secrets", name), {"data": wanted["data"]})
            except ApiError as failure:
                raise refusal(failure, "secrets", self._at.spec.namespace) from failure
        return name, "token"

    def _living(self) -> dict[str, Object]:
        """The RayServices of endpoints, without those that are being deleted."""
        services = self._at.services.objects().values()
        named = {service["metadata"]["annotations"].get(ENDPOINT_ANNOTATION): service for service in services}
        return {name: found for name, found in named.items() if name and not found["metadata"].get("deletionTimestamp")}

    def _application(self, endpoint: str, service: Object) -> ApplicationDetails:
        status = service["status"]
        active = (status["activeServiceStatus"].get("applicationStatuses") or {}).get(endpoint) or {}
        pending = (status["pendingServiceStatus"].get("applicationStatuses") or {}).get(endpoint) or {}
        follower = status["pendingServiceStatus"].get("rayClusterName")
        if active and not follower and has_condition(service, "Ready"):
            lacking = self._lacking(endpoint, service)
            return {"status": "DEPLOYING" if lacking else "RUNNING", "message": lacking or active.get("message", "")}
        latest = pending or active
        failed = latest.get("status") in ("DEPLOY_FAILED", "UNHEALTHY")
        cluster = follower or status["activeServiceStatus"].get("rayClusterName")
        if cluster:
            problem = self._at.problem_of(cluster)
        else:
            problem = silence.of(service, "RayService", self._at.spec.namespace)
        message = latest.get("message") or (problem.message if problem else _awaited(status, latest))
        return {"status": latest["status"] if failed else "DEPLOYING", "message": message}

    def _lacking(self, endpoint: str, service: Object) -> str | None:
        """What an endpoint that answers lacks of what was asked for: KubeRay takes a change on after a while, and
        says meanwhile what was so before.
        """
        cluster = service["status"]["activeServiceStatus"]["rayClusterName"]
        asked = cluster, service["metadata"].get("generation")
        if self._whole.get(endpoint) == asked:
            return None
        if not scaling.has_shape(self._at, service, cluster):
            return _BEING_MADE
        count = scaling.wanted(service)
        try:
            there = scaling.running(self._at.dashboard(cluster).replicas(endpoint))
        except Unreachable as failure:
            return f"Whether all replicas answer is not known: {failure}"
        if count is not None and there != count:
            problem = self._at.problem_of(cluster)
            return f"Replicas: {there} ready, {count} requested." + (f" {problem.message}" if problem else "")
        self._whole[endpoint] = asked
        return None


def _awaited(status: Fields, latest: Fields) -> str:
    """What an endpoint waits for that is not yet as asked for, while nothing is wrong with it."""
    answers, follows = (
        bool(status[side].get("rayClusterName")) for side in ("activeServiceStatus", "pendingServiceStatus")
    )
    if latest.get("status") != "RUNNING":
        return _BEING_MADE if answers and follows else ""
    if follows:
        return "The model is loaded; KubeRay directs requests to it in a minute or so."
    return "The model is loaded, and no pod is ready to take requests: the endpoint's Service has no address."
