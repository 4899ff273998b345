"""RayServices as KubeRay 1.7 has them: a changed one gets a second Ray cluster, which takes the traffic once it answers.

Source: rayservice_controller.go. The Services of a RayService come with its first cluster that answers; the status has
applications of the newest cluster alone; the cluster before goes a minute after the switch.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.kuberay.apiserver import Object, Refused, now
from tests.kuberay.kubelet import PAUSE, suffix

if TYPE_CHECKING:
    from tests.kuberay.operator import Operator

SERVICES = ("head-svc", "serve-svc")


class RayServiceLoop:
    """One RayService, as long as it is there."""

    def __init__(self, operator: Operator, name: str, uid: str) -> None:
        self._operator = operator
        self._store = operator.store
        self._name, self._uid = name, uid
        self._active = self._pending = ""
        self._goals: dict[str, Object] = {}
        self._made: dict[str, float] = {}
        self._applied: dict[str, Any] = {}
        self._leaving: dict[str, float] = {}

    def run(self) -> None:
        try:
            while service := self._operator.there("rayservices", self._name, self._uid):
                with contextlib.suppress(httpx.HTTPError, RuntimeError):  # a head that starts, or has just gone
                    self._turn(service)
                time.sleep(2 * PAUSE)
        finally:
            for kind in SERVICES:
                self._operator.server.upstreams.pop(f"{self._name}-{kind}", None)

    def _turn(self, service: Object) -> None:
        self._take_away()
        self._prepare(service)
        cluster = self._pending or self._active
        applications = self._serve(cluster, service)
        answers = bool(applications) and all(one["status"] == "RUNNING" for one in applications.values())
        if answers and time.monotonic() - self._made[cluster] > self._operator.service_seconds:
            self._point_to(cluster, service)
        self._write(applications)

    def _take_away(self) -> None:
        """Clusters that were replaced, when their time is over."""
        for cluster, due in list(self._leaving.items()):
            if time.monotonic() > due:
                del self._leaving[cluster]
                with contextlib.suppress(Refused):
                    self._store.delete("rayclusters", cluster)

    def _prepare(self, service: Object) -> None:
        """Make another cluster if the newest is of another spec; sizes do not count."""
        newest, goal = self._pending or self._active, sizeless(service["spec"]["rayClusterConfig"])
        if newest and self._goals[newest] == goal:
            return
        if self._pending:
            self._leave(self._pending)
        self._pending = f"{self._name[:40]}-{suffix()}"
        self._goals[self._pending], self._made[self._pending] = goal, time.monotonic()
        self._write({})
        self._operator.make_cluster(service, self._pending, "RayService", service["spec"]["rayClusterConfig"])

    def _leave(self, cluster: str) -> None:
        self._leaving[cluster] = time.monotonic() + self._operator.old_seconds

    def _serve(self, cluster: str, service: Object) -> dict[str, Any]:
        """Have the newest cluster's Serve do what the RayService says; the state of its applications."""
        head = self._operator.heads.get(cluster)
        if head is None or not head.is_alive():
            return {}
        wanted = head.started, service["spec"]["serveConfigV2"]
        if self._applied.get(cluster) != wanted:
            config = yaml.safe_load(wanted[1])
            config |= {"http_options": {"host": "127.0.0.1", "port": head.serve_port}, "proxy_location": "HeadOnly"}
            head.http.put("/api/serve/applications/", json=config).raise_for_status()
            self._applied[cluster] = wanted
        found = head.http.get("/api/serve/applications/").json()["applications"]
        self._operator.pods.probe(cluster, _with_proxy(head, found))
        return {k: {"status": v["status"], "message": v.get("message", "")} for k, v in found.items()}

    def _point_to(self, cluster: str, service: Object) -> None:
        """Put the Services before a cluster that answers; so it is the active one."""
        head = self._operator.heads[cluster]
        ports = {"head-svc": head.address.removeprefix("http://"), "serve-svc": f"127.0.0.1:{head.serve_port}"}
        owner = {"apiVersion": "ray.io/v1", "kind": "RayService", "name": self._name, "uid": self._uid}
        for kind, address in ports.items():
            body: Object = {"metadata": {"name": f"{self._name}-{kind}", "ownerReferences": [owner]},
                            "spec": {"selector": {"ray.io/cluster": cluster}}}  # fmt: skip
            if self._store.find("services", body["metadata"]["name"]):
                self._store.patch("services", body["metadata"]["name"], {"spec": body["spec"]})
            else:
                self._store.create("services", body)
            self._operator.server.upstreams[body["metadata"]["name"]] = address
        if cluster == self._pending:
            if self._active:
                self._leave(self._active)
            self._active, self._pending = cluster, ""

    def _write(self, applications: dict[str, Any]) -> None:
        service = self._store.find("services", f"{self._name}-serve-svc")
        count = self._operator.pods.ready(service["spec"]["selector"]["ray.io/cluster"]) if service else 0
        newest = self._pending or self._active
        sides = {
            side: {
                "rayClusterName": cluster,
                "applicationStatuses": (applications or None) if cluster == newest else None,
            }
            for side, cluster in (("activeServiceStatus", self._active), ("pendingServiceStatus", self._pending))
        }
        ready = _condition("Ready", count > 0, "NonZeroServeEndpoints" if count else "Initializing")
        upgrade = _condition("UpgradeInProgress", bool(self._active and self._pending), "x")
        before = (self._store.get("rayservices", self._name).get("status") or {}).get("conditions") or []
        known = {one["type"]: one for one in before}
        conditions = [
            old if (old := known.get(c["type"], {})).get("status") == c["status"] else c for c in (ready, upgrade)
        ]
        written = {side: status if status["rayClusterName"] else None for side, status in sides.items()}
        self._store.patch(
            "rayservices", self._name,
            {"status": {**written, "numServeEndpoints": count, "conditions": conditions}}, status=True,
        )  # fmt: skip


def sizeless(ray_cluster: Object) -> Object:
    """What KubeRay compares of a Ray cluster's spec: all but the sizes of its worker groups."""
    left_out = ("replicas", "minReplicas", "maxReplicas", "scaleStrategy")
    groups = [{k: v for k, v in group.items() if k not in left_out} for group in ray_cluster["workerGroupSpecs"]]
    return {**ray_cluster, "workerGroupSpecs": groups}


def _with_proxy(head: Any, applications: Object) -> set[str] | None:
    """The addresses of pods where Serve's proxy runs, beside a replica; None where one real head is all pods."""
    if not head.has_pods:
        return None
    found = [d for one in applications.values() for d in one.get("deployments", {}).values()]
    return {r["node_ip"] for d in found for r in d["replicas"] if r["state"] == "RUNNING"}


def _condition(kind: str, holds: bool, reason: str) -> Object:
    return {"type": kind, "status": str(holds), "reason": reason, "message": "", "lastTransitionTime": now()}
