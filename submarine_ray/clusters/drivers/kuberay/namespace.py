"""One registered namespace: its API, its watches and its Ray dashboards."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from submarine_ray.clusters.drivers.base import Blocked, Problem, SubmissionRefused, Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.kuberay import manifests, names, problems
from submarine_ray.clusters.drivers.kuberay.api import ApiError, KubeApi, collection
from submarine_ray.clusters.drivers.kuberay.ground import Ground
from submarine_ray.clusters.drivers.kuberay.informer import GroupOf, Informer
from submarine_ray.clusters.drivers.kuberay.objects import Fields, Metadata, Object
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.clusters.drivers.runner_code import runner_code
from submarine_ray.clusters.launches import Launches
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.clusters import KubeRayClusterSpec

QUOTA_PAUSE_MS = 15_000
RIGHTS_PAUSE_MS = 30_000
DASHBOARD_PORT = 8265
# Dashboards spoken to lately; a job needs its own for its log and its end only.
OPEN_DASHBOARDS = 32

Notify = Callable[[frozenset[str]], None]


@dataclass(frozen=True)
class DriverContext:
    """What a driver works with: the registration, its id, the API, packages and launches, and whom to notify."""

    spec: KubeRayClusterSpec
    uid: str
    api: KubeApi
    packages: PackageService
    timeout: float
    launches: Launches
    notify: Notify


class Namespace:
    """What the drivers of a registered cluster share."""

    def __init__(self, context: DriverContext) -> None:
        self.spec = context.spec
        self.uid = context.uid
        self.api = context.api
        self.packages = context.packages
        self.tokens = context.launches.tokens
        self.ground = Ground(context.api, context.spec.namespace)
        self._context = context
        self._runner: str | None = None
        self._tokens: dict[str, str] = {}
        self._dashboards: dict[str, RayJobs] = {}
        self._lock = threading.Lock()
        self.jobs = self._informer(names.GROUP, "rayjobs", _job_essence)
        self.clusters = self._informer(names.GROUP, "rayclusters", _cluster_essence)
        self.services = self._informer(names.GROUP, "rayservices", _service_essence)
        self.pods = self._informer("v1", "pods", _pod_essence, lambda pod: _label(pod, "ray.io/cluster"))
        self._informers = (self.jobs, self.clusters, self.services, self.pods)
        for informer in self._informers:
            informer.start()

    def pod_spec(self) -> KubeRayClusterSpec:
        """The registration that pods are made of, with what the namespace decides where it is left open. Raises
        Unreachable.
        """
        if self.spec.run_as_non_root is not None:
            return self.spec
        return self.spec.model_copy(update={"run_as_non_root": self.ground.is_restricted})

    def path(self, plural: str, name: str = "") -> str:
        """The API path of a collection, or of one object in it."""
        group = names.GROUP if plural.startswith("ray") else "v1"
        return collection(group, self.spec.namespace, plural) + (f"/{name}" if name else "")

    def is_ours(self, found: Object) -> bool:
        """Whether this registration made the object."""
        return (found["metadata"].get("labels") or {}).get(names.CLUSTER_LABEL) == self.uid

    def pods_of(self, ray_cluster: str) -> list[Object]:
        return self.pods.group(ray_cluster)

    def problem_of(self, ray_cluster: str) -> Problem | None:
        """The problem that keeps a RayCluster's pods from being made, or from running."""
        there = self.clusters.get(ray_cluster)
        return (problems.of_cluster(there) if there else None) or problems.of_pods(self.pods_of(ray_cluster))

    def ensure_runner(self) -> str:
        """Create the ConfigMap with the runner's code, once. Raises Blocked, SubmissionRefused."""
        if self._runner is None:
            digest, content = runner_code()
            self.create("configmaps", manifests.runner_map(self.spec, self.uid, digest, content))
            self._runner = manifests.runner_name(self.uid, digest)
        return self._runner

    def create(self, plural: str, manifest: Object) -> Object | None:
        """Create an object; None if it exists already. Raises Blocked, SubmissionRefused."""
        try:
            return self.api.create(self.path(plural), manifest)
        except ApiError as failure:
            if failure.status == 409:
                return None
            self._runner = None  # a namespace that was made anew lacks it
            raise refusal(failure, plural, self.spec.namespace) from failure

    def delete(self, plural: str, name: str) -> None:
        """Delete an object. Raises Blocked."""
        try:
            self.api.delete(self.path(plural, name))
        except ApiError as failure:
            raise refusal(failure, plural, self.spec.namespace) from failure

    def dashboard(self, ray_cluster: str) -> RayJobs:
        """The API of a Ray cluster's dashboard."""
        with self._lock:
            known = self._dashboards.pop(ray_cluster, None)
            if known is None:
                known = RayJobs(
                    self._address(ray_cluster), self.packages, self._context.timeout, launches=self._context.launches
                )
            self._dashboards[ray_cluster] = known  # last: the longest unused is the first
            while len(self._dashboards) > OPEN_DASHBOARDS:
                oldest = next(iter(self._dashboards))
                self._dashboards.pop(oldest).close()
            return known

    def forget_dashboard(self, ray_cluster: str) -> None:
        """Close the connection to the dashboard of a Ray cluster that was deleted, or made anew with another token."""
        with self._lock:
            known = self._dashboards.pop(ray_cluster, None)
            self._tokens.pop(ray_cluster, None)
        if known:
            known.close()

    def close(self) -> None:
        for informer in self._informers:
            informer.stop()
        with self._lock:
            for dashboard in self._dashboards.values():
                dashboard.close()
            self._dashboards.clear()
        self.api.close()

    @property
    def is_direct(self) -> bool:
        return self.spec.access == "direct" or (self.spec.access == "auto" and self.api.in_cluster)

    def _address(self, ray_cluster: str) -> Dashboard:
        service, namespace = f"{ray_cluster}-head-svc", self.spec.namespace
        if self.is_direct:
            return Dashboard(
                f"http://{service}.{namespace}.svc.cluster.local:{DASHBOARD_PORT}",
                lambda: {"Authorization": f"Bearer {self._token(ray_cluster)}"},
            )
        path = f"/api/v1/namespaces/{namespace}/services/{service}:dashboard/proxy"
        return Dashboard(
            self.api.host + path,
            # Authorization is the API server's own, and does not reach Ray.
            lambda: {**self.api.headers(), "x-ray-authorization": f"Bearer {self._token(ray_cluster)}"},
            self.api.tls(),
        )

    def _token(self, ray_cluster: str) -> str:
        """Ray's token, from the Secret that KubeRay has made."""
        if ray_cluster not in self._tokens:
            try:
                found = self.api.get(self.path("secrets", ray_cluster))
                self._tokens[ray_cluster] = base64.b64decode(found["data"]["auth_token"]).decode()
            except ApiError as failure:
                raise Unreachable(f"the token of {ray_cluster} cannot be read: {failure}") from failure
            except (KeyError, ValueError) as failure:
                raise Unreachable(f"the Secret {ray_cluster} has no auth_token") from failure
        return self._tokens[ray_cluster]

    def _informer(
        self, group: str, plural: str, keep: Callable[[Object], Object], group_of: GroupOf | None = None
    ) -> Informer:
        def changed(before: Object | None, after: Object | None) -> None:
            if before is None or after is None or _matters(before) != _matters(after):
                self._context.notify(frozenset(_ids((before, after))))

        path = collection(group, self.spec.namespace, plural)
        return Informer(self.api, path, names.selector(self.uid), keep, changed, group_of)


def refusal(failure: ApiError, plural: str, namespace: str) -> Blocked | SubmissionRefused:
    """The error for a refusal of the API server, in words for whoever waits for the object."""
    if failure.over_quota:
        told = problems.of_refusal(str(failure))
        return Blocked(told.reason, told.message, QUOTA_PAUSE_MS)
    if failure.status == 403:
        return Blocked("Forbidden", f"The service lacks a right on Kubernetes: {failure}", RIGHTS_PAUSE_MS)
    if failure.status == 404:
        missing_namespace = "namespaces" in str(failure)
        why = (
            f"there is no namespace {namespace!r}"
            if missing_namespace
            else f"it knows no {plural}: KubeRay's CRDs are not installed (helm install kuberay-operator), "
            "unless its API server has just started"
        )
        return Blocked("NotInstalled", f"Kubernetes cannot take it: {why}.", RIGHTS_PAUSE_MS)
    return SubmissionRefused(str(failure))


def _ids(objects: Iterable[Object | None]) -> Iterable[str]:
    """The ids of the experiments and notebooks that objects belong to."""
    for found in objects:
        if found is not None and (id := _label(found, names.EXPERIMENT_LABEL)):
            yield id


def has_condition(found: Object, kind: str) -> bool:
    """Whether a condition of the object's status holds."""
    return any(c.get("type") == kind and c.get("status") == "True" for c in found["status"]["conditions"])


def _label(found: Object, key: str) -> str | None:
    return (found["metadata"].get("labels") or {}).get(key)


def _matters(found: Object) -> tuple[dict[str, object], str | None]:
    """What tells whether an object has changed: all but its metadata, of which only the time of deletion counts."""
    return {k: v for k, v in found.items() if k != "metadata"}, found["metadata"].get("deletionTimestamp")


def _identity(found: Object) -> Metadata:
    keys = ("name", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "labels",
            "ownerReferences")  # fmt: skip
    kept = {key: value for key, value in found["metadata"].items() if key in keys}
    own = {k: v for k, v in (found["metadata"].get("annotations") or {}).items() if k.startswith("submarine-ray/")}
    return cast(Metadata, kept | {"annotations": own})


def _some(document: Fields | None, *keys: str) -> Fields:
    return {key: document[key] for key in keys if key in document} if document else {}


def _job_essence(found: Object) -> Object:
    status = found.get("status")
    kept = _some(status, "jobDeploymentStatus", "jobStatus", "reason", "message", "rayClusterName", "endTime")
    kept["rayJobInfo"] = _some((status or {}).get("rayJobInfo"), "startTime", "endTime")
    return {"metadata": _identity(found), "status": kept}


def _cluster_essence(found: Object) -> Object:
    conditions = [
        _some(condition, "type", "status", "message")
        for condition in (found.get("status") or {}).get("conditions") or []
        if condition.get("type") in ("HeadPodReady", "ReplicaFailure")
    ]
    groups = (found.get("spec") or {}).get("workerGroupSpecs") or []
    sizes = {group["groupName"]: group.get("replicas") for group in groups}
    return {"metadata": _identity(found), "status": {"conditions": conditions, "sizes": sizes}}


def _service_essence(found: Object) -> Object:
    status = found.get("status") or {}
    kept: Fields = {"conditions": [_some(c, "type", "status", "message") for c in status.get("conditions") or []]}
    for side in ("activeServiceStatus", "pendingServiceStatus"):
        kept[side] = _some(status.get(side), "applicationStatuses", "rayClusterName")
    return {"metadata": _identity(found), "status": kept}


def _pod_essence(found: Object) -> Object:
    status = found.get("status") or {}
    kept = _some(status, "phase", "reason", "message", "conditions", "podIP", "initContainerStatuses")
    kept["containerStatuses"] = [
        _some(c, "name", "image", "state", "lastState", "ready", "restartCount")
        for c in status.get("containerStatuses") or []
    ]
    limits = [(c.get("resources") or {}).get("limits") or {} for c in (found.get("spec") or {}).get("containers") or []]
    kept["memory"] = next((limit["memory"] for limit in limits if "memory" in limit), None)
    return {"metadata": _identity(found), "status": kept}
