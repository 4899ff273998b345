"""The pods of simulated Ray clusters: made as KubeRay makes them, shown as kubelets show them."""

from __future__ import annotations

import contextlib
import itertools
import random
import string
import time
from collections.abc import Callable, Sequence

from tests.kuberay.apiserver import ApiServer, Object, Refused, now

PAUSE = 0.1
TURN_SECONDS = 0.37  # a kubelet takes many seconds; the service looks at what it gathered in 0.15
AUTOSCALER = "autoscaler"


def suffix() -> str:
    """What KubeRay adds to names: another one at each try."""
    return "".join(random.choices(string.ascii_lowercase, k=5))


class Pods:
    """`head_shows`, `worker_shows`: statuses that pods have by turns instead of running, while there are any."""

    def __init__(self, server: ApiServer, there: Callable[[str, str, str], Object | None]) -> None:
        self.server = server
        self.store = server.store
        self.head_shows: Sequence[Object] = ()
        self.worker_shows: Sequence[Object] = ()
        self._there = there
        self._heads: dict[str, str] = {}

    def make_head(self, name: str, uid: str) -> bool:
        """Make the head pod, and wait until nothing keeps it from running; False if its Ray cluster has gone."""
        cluster = self._there("rayclusters", name, uid)
        if cluster is None:
            return False
        template = cluster["spec"]["headGroupSpec"]["template"]
        if cluster["spec"].get("enableInTreeAutoscaling"):
            template = _with_autoscaler(template, cluster["spec"].get("autoscalerOptions") or {})
        pod = self._make(name, uid, template, "head", "headgroup")
        if pod is None:
            return False
        self._heads[name] = pod
        return self._held(name, uid, pod, lambda: self.head_shows)

    def run_head(self, name: str, started: str) -> None:
        pod = self.store.get("pods", self._heads[name])
        self._show(pod["metadata"]["name"], _running(pod, started))

    def lose_head(self, name: str) -> None:
        """Its node is gone: another pod takes its place."""
        with contextlib.suppress(Refused):
            self.store.delete("pods", self._heads.pop(name))

    def end_autoscaler(self, name: str) -> None:
        """Heads have restartPolicy Never under Ray's second autoscaler: it stays as it is, 1/2 Error."""
        status = self.store.get("pods", self._heads[name])["status"]
        for container in status["containerStatuses"]:
            if container["name"] == AUTOSCALER:
                container |= {"ready": False, "state": {"terminated": {"reason": "Error", "exitCode": 1}}}
        self._show(self._heads[name], status)

    def make_workers(self, name: str, uid: str) -> bool:
        """As `make_head`, all workers that are lacking; those that are too many go, the ones to delete first."""
        cluster = self._there("rayclusters", name, uid)
        for group in (cluster["spec"].get("workerGroupSpecs") or []) if cluster else []:
            count = int(group.get("replicas") or 0)
            for _ in range(count - len(self._remaining(name, group, count))):
                pod = self._make(name, uid, group["template"], "worker", group["groupName"])
                if pod is None or not self._held(name, uid, pod, lambda: self.worker_shows):
                    return False
                self._show(pod, _running(self.store.get("pods", pod), now()))
        return cluster is not None

    def _remaining(self, name: str, group: Object, count: int) -> list[str]:
        """A group's pods once all are deleted that are to go; KubeRay chooses at random where nobody else does."""
        there = [
            pod["metadata"]["name"] for pod in self.workers(name)
            if pod["metadata"]["labels"]["ray.io/group"] == group["groupName"]
        ]  # fmt: skip
        named = set((group.get("scaleStrategy") or {}).get("workersToDelete") or [])
        stays = [pod for pod in there if pod not in named]
        stays = random.sample(stays, min(count, len(stays)))
        for pod in set(there) - set(stays):
            with contextlib.suppress(Refused):
                self.store.delete("pods", pod)
        return stays

    def workers(self, name: str) -> list[Object]:
        """The worker pods of a Ray cluster."""
        return self.store.list("pods", f"ray.io/cluster={name},ray.io/node-type=worker")[0]

    def probe(self, name: str, addresses: set[str] | None) -> None:
        """As the kubelet: a worker is ready that answers Serve's health check; `addresses` have a proxy (None: all)."""
        for pod in self.workers(name):
            ready = addresses is None or pod["status"].get("podIP") in addresses
            wanted = [{"type": "Ready", "status": str(ready)}]
            if pod["status"]["phase"] == "Running" and pod["status"].get("conditions") != wanted:
                self._show(pod["metadata"]["name"], {"conditions": wanted})

    def ready(self, name: str) -> int:
        """How many of a Ray cluster's workers are ready."""
        wanted = {"type": "Ready", "status": "True"}
        return sum(wanted in (pod["status"].get("conditions") or []) for pod in self.workers(name))

    def condition(self, name: str, kind: str, holds: bool, reason: str, message: str = "") -> None:
        """Set a condition of a Ray cluster; what KubeRay says of one that failed goes when it holds no more."""
        with contextlib.suppress(Refused):
            status = self.store.get("rayclusters", name).get("status") or {}
            others = [one for one in status.get("conditions") or [] if one["type"] != kind]
            mine = {
                "type": kind,
                "status": str(holds),
                "reason": reason,
                "message": message,
                "lastTransitionTime": now(),
            }
            conditions = others if kind == "ReplicaFailure" and not holds else [*others, mine]
            self.store.patch("rayclusters", name, {"status": {"conditions": conditions}}, status=True)

    def _make(self, name: str, uid: str, template: Object, kind: str, group: str) -> str | None:
        labels = {**template["metadata"].get("labels", {}), "ray.io/cluster": name, "ray.io/node-type": kind,
                  "ray.io/group": group, "ray.io/is-ray-node": "yes"}  # fmt: skip
        owner = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": name, "uid": uid}
        while self._there("rayclusters", name, uid):
            pod = f"{name}-{'head' if kind == 'head' else f'{group}-worker'}-{suffix()}"
            metadata = {"name": pod, "namespace": self.server.namespace, "labels": labels, "ownerReferences": [owner],
                        "annotations": template["metadata"].get("annotations") or {}}  # fmt: skip
            try:
                self.store.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
                                           "spec": template["spec"], "status": {"phase": "Pending"}})  # fmt: skip
            except Refused as refusal:
                word = f"FailedCreate{kind.title()}Pod"
                self.condition(name, "ReplicaFailure", True, word, f"{word}\n{refusal}")
                time.sleep(PAUSE)
                continue
            self.condition(name, "ReplicaFailure", False, "")
            return pod
        return None

    def _held(self, name: str, uid: str, pod: str, shows: Callable[[], Sequence[Object]]) -> bool:
        for turn in itertools.count():
            if not self._there("rayclusters", name, uid):
                return False
            statuses = shows()
            if not statuses:
                return True
            self._show(pod, statuses[turn % len(statuses)])
            time.sleep(TURN_SECONDS)
        return False

    def _show(self, pod: str, status: Object) -> None:
        with contextlib.suppress(Refused):
            self.store.patch("pods", pod, {"status": status}, status=True)


def _running(pod: Object, started: str) -> Object:
    containers = [
        {"name": container["name"], "image": container["image"], "ready": True, "restartCount": 0,
         "state": {"running": {"startedAt": started}}}
        for container in pod["spec"]["containers"]
    ]  # fmt: skip
    address = f"10.{'.'.join(str(part) for part in random.randbytes(3))}"
    return {"phase": "Running", "containerStatuses": containers, "conditions": [], "podIP": address}


def _with_autoscaler(template: Object, options: Object) -> Object:
    spec = template["spec"]
    container = {"name": AUTOSCALER, "image": spec["containers"][0]["image"]}
    container |= {"securityContext": options["securityContext"]} if "securityContext" in options else {}
    return {**template, "spec": {**spec, "restartPolicy": "Never", "containers": [*spec["containers"], container]}}
