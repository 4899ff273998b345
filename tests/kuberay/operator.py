"""A stand-in for KubeRay's operator, and for the kubelets: what it starts is real Ray.

For each RayCluster one real head (own ports, own directory) that has the CPUs of all the cluster's pods; for a RayJob
the entrypoint goes to that head's Jobs API, and the status is written in the order in which KubeRay 1.7 writes it.
"""

from __future__ import annotations

import base64
import contextlib
import math
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from submarine_ray.cli import local_ray, processes
from submarine_ray.spec.home import Home
from tests.kuberay.apiserver import ApiServer, Object, Refused, now
from tests.kuberay.kubelet import PAUSE, Pods, suffix
from tests.kuberay.rayservices import RayServiceLoop

FINALIZER = "ray.io/rayjob-finalizer"


class Head:
    """A real Ray head in place of a head pod, with the pod's variables and mounted files."""

    has_pods = False  # it is all nodes of its Ray cluster

    def __init__(self, operator: Operator, cluster: Object) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kr-"))
        self.home = Home(self.root / "home")
        operator.homes.append(self.home)
        spec = cluster["spec"]
        groups = [spec["headGroupSpec"], *(spec.get("workerGroupSpecs") or [])]
        counts = [1, *(int(group.get("replicas", 0)) for group in groups[1:])]
        asked = [int(g["rayStartParams"]["num-cpus"]) * count for g, count in zip(groups, counts, strict=True)]
        pod = spec["headGroupSpec"]["template"]["spec"]
        container = pod["containers"][0]
        self.mounts = {m["mountPath"]: str(self.root / "mounts" / m["name"]) for m in container["volumeMounts"]}
        for volume in pod["volumes"]:
            operator.materialize(volume, self.root / "mounts" / volume["name"])
        given = {}
        for variable in container["env"]:
            given[variable["name"]] = variable["value"] if "value" in variable else operator.secret(variable)
        variables = {name: self.inside(value) for name, value in given.items()}
        self.started = now()
        token = operator.token_of(cluster)
        if token:
            self.home.root.mkdir(parents=True)
            self.home.ray_token.touch(mode=0o600)
            self.home.ray_token.write_text(token)
        serve = {k: v for k, v in variables.items() if k.startswith("RAY_SERVE")}
        local_ray.start(self.home, max(1, sum(asked)), bool(serve), variables)
        state = processes.load(self.home.ray_state)
        assert state is not None
        self.address = str(state[1]["address"])
        self.serve_port = int(state[1]["servePort"])
        self.process = state[0]
        self.http = httpx.Client(
            base_url=self.address, timeout=20, headers={"Authorization": f"Bearer {local_ray.token(self.home)}"}
        )

    def inside(self, text: str) -> str:
        """A text with the pod's paths, as this machine has them."""
        for path, real in sorted(self.mounts.items(), reverse=True):
            if path != "/dev/shm":
                text = text.replace(path, real)
        return text

    def is_alive(self) -> bool:
        return self.process.process() is not None

    def kill(self) -> None:
        """As a node that loses its power."""
        local_ray.sweep(self.home)

    def stop(self) -> None:
        self.http.close()
        self.kill()
        local_ray.forget(self.home)
        shutil.rmtree(self.root, ignore_errors=True)


class Operator:
    """Watches a store and makes it so. `hold` names what is left undone, so that tests can look at the state before;
    while it is `away` it does nothing at all. `head` makes what runs in a head pod: real Ray, or a stand-in for it.
    """

    def __init__(self, server: ApiServer, head: Callable[[Operator, Object], Any] | None = None) -> None:
        self.server = server
        self.store = server.store
        self.make_head = head or Head
        self.heads: dict[str, Any] = {}
        self.away = False
        self.homes: list[Home] = []
        self.restarts = True
        self.hold: set[str] = set()
        # As KubeRay 1.7: a job that the head no longer knows is submitted again, one whose dashboard is silent fails.
        self.resubmit_seconds = 3.0
        self.silence_seconds = 300.0
        # 50 and 60 in reality: until a RayService's own Services are there, and until a replaced cluster goes.
        self.service_seconds = 0.5
        self.old_seconds = 0.5
        self._stopping = threading.Event()
        self.pods = Pods(server, self.there)
        self._working: set[tuple[str, str]] = set()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(10)
        for thread in self._threads:
            thread.join(30)
        for home in self.homes:  # also of heads that were just starting
            local_ray.sweep(home)
            local_ray.forget(home)
            shutil.rmtree(home.root.parent, ignore_errors=True)

    # What a pod needs of the store.

    def materialize(self, volume: Object, directory: Path) -> None:
        """Write a ConfigMap's or Secret's files; as the kubelet, wait until it is there."""
        if "secret" in volume:
            data = self._wait_for("secrets", volume["secret"]["secretName"])["data"]
        elif "configMap" in volume:
            data = self._wait_for("configmaps", volume["configMap"]["name"])["binaryData"]
        else:
            return
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in data.items():
            (directory / name).write_bytes(base64.b64decode(content))

    def secret(self, variable: Object) -> str:
        reference = variable["valueFrom"]["secretKeyRef"]
        return base64.b64decode(self._wait_for("secrets", reference["name"])["data"][reference["key"]]).decode()

    def token_of(self, cluster: Object) -> str | None:
        if (cluster["spec"].get("authOptions") or {}).get("mode") != "token":
            return None
        return base64.b64decode(self.store.get("secrets", cluster["metadata"]["name"])["data"]["auth_token"]).decode()

    def _wait_for(self, plural: str, name: str) -> Object:
        while not self._stopping.is_set():
            if found := self.store.find(plural, name):
                return found
            time.sleep(PAUSE)
        raise Refused(404, "NotFound", name)

    # The loop: one thread an object, which ends with it.

    def _run(self) -> None:
        workers = {"rayjobs": self._job, "rayclusters": self._cluster, "rayservices": self._service}
        while not self._stopping.is_set():
            for plural, work in workers.items():
                if self.away or plural in self.hold:
                    continue
                for item in self.store.list(plural)[0]:
                    key = plural, item["metadata"]["uid"]
                    if key not in self._working:
                        self._working.add(key)
                        thread = threading.Thread(target=self._guarded, args=(work, item), daemon=True)
                        self._threads.append(thread)
                        thread.start()
            time.sleep(PAUSE)

    def _guarded(self, work: Any, item: Object) -> None:
        with contextlib.suppress(Refused):  # deleted in the middle
            work(item["metadata"]["name"], item["metadata"]["uid"])

    def there(self, plural: str, name: str, uid: str) -> Object | None:
        """The object, while it is that one and this operator lives. While it is away, nobody asks."""
        while self.away and not self._stopping.is_set():
            time.sleep(PAUSE)
        found = None if self._stopping.is_set() else self.store.find(plural, name)
        return found if found and found["metadata"]["uid"] == uid else None

    def _status(self, plural: str, name: str, **status: Any) -> None:
        self.store.patch(plural, name, {"status": status}, status=True)

    # RayCluster: the token, the pods, the head.

    def _cluster(self, name: str, uid: str) -> None:
        cluster = self.store.get("rayclusters", name)
        owner = [{"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": name, "uid": uid}]
        if (cluster["spec"].get("authOptions") or {}).get("mode") == "token":
            token = base64.b64encode(random.randbytes(24).hex().encode()).decode()
            secret = {"metadata": {"name": name, "namespace": self.server.namespace, "ownerReferences": owner},
                      "data": {"auth_token": token}}  # fmt: skip
            self._create_secret(secret)
        self.pods.condition(name, "HeadPodReady", False, "HeadPodNotFound")
        head = self._start_head(name, uid)
        while self.there("rayclusters", name, uid):
            if head is not None and not head.is_alive():
                self.server.upstreams.pop(f"{name}-head-svc", None)
                self.pods.condition(name, "HeadPodReady", False, "PodNotReady")
                self.pods.lose_head(name)
                while not self.restarts and self.there("rayclusters", name, uid):
                    time.sleep(PAUSE)
                head.stop()
                head = self._start_head(name, uid)
            self.pods.make_workers(name, uid)
            time.sleep(PAUSE)
        self.server.upstreams.pop(f"{name}-head-svc", None)
        if head is not None:
            self.heads.pop(name, None)
            head.stop()

    def _create_secret(self, secret: Object) -> None:
        """One of a cluster of the same name that has just gone is still to be collected."""
        while not self._stopping.is_set():
            with contextlib.suppress(Refused):
                self.store.create("secrets", secret)
                return
            time.sleep(PAUSE)

    def _start_head(self, name: str, uid: str) -> Any:
        """Make the pods, and start what is in the head's; KubeRay calls a cluster provisioned when all of them run."""
        if not self.pods.make_head(name, uid) or (cluster := self.there("rayclusters", name, uid)) is None:
            return None
        head = self.make_head(self, cluster)
        self.heads[name] = head
        self.server.upstreams[f"{name}-head-svc"] = head.address.removeprefix("http://")
        self.pods.run_head(name, head.started)
        self.pods.condition(name, "HeadPodReady", True, "HeadPodRunningAndReady")
        if not self._is_provisioned(name) and self.pods.make_workers(name, uid):
            self.pods.condition(name, "RayClusterProvisioned", True, "AllPodRunningAndReadyFirstTime")
        return head

    # RayJob: in the order of rayjob_controller.go.

    def _job(self, name: str, uid: str) -> None:
        self.store.patch("rayjobs", name, {"metadata": {"finalizers": [FINALIZER]}})
        job = self.store.get("rayjobs", name)
        if len(name) > 47:
            self._status("rayjobs", name, jobDeploymentStatus="ValidationFailed", reason="ValidationFailed",
                         message="the RayJob's name is too long")  # fmt: skip
        elif self._resumed(name, uid):
            cluster = f"{name[:47]}-{suffix()}"
            self._status("rayjobs", name, jobDeploymentStatus="Initializing", jobStatus="", jobId=job["spec"]["jobId"],
                         rayClusterName=cluster, startTime=now())  # fmt: skip
            self.make_cluster(job, cluster, "RayJob", job["spec"]["rayClusterSpec"])
            self._drive(name, uid, cluster)
        while (there := self.there("rayjobs", name, uid)) and not there["metadata"].get("deletionTimestamp"):
            time.sleep(PAUSE)
        if there:
            self.store.patch("rayjobs", name, {"metadata": {"finalizers": None}})

    def _resumed(self, name: str, uid: str) -> bool:
        while job := self.there("rayjobs", name, uid):
            if job["metadata"].get("deletionTimestamp"):
                return False
            if not job["spec"].get("suspend"):
                return True
            self._status("rayjobs", name, jobDeploymentStatus="Suspended")
            time.sleep(PAUSE)
        return False

    def make_cluster(self, owner: Object, name: str, kind: str, spec: Object) -> None:
        meta = owner["metadata"]
        labels = {**meta.get("labels", {}), "ray.io/originated-from-cr-name": meta["name"],
                  "ray.io/originated-from-crd": kind}  # fmt: skip
        reference = {"apiVersion": "ray.io/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"]}
        self.store.create("rayclusters", {
            "apiVersion": "ray.io/v1", "kind": "RayCluster", "spec": spec,
            "metadata": {"name": name, "namespace": self.server.namespace, "labels": labels,
                         "annotations": meta.get("annotations", {}), "ownerReferences": [reference]},
        })  # fmt: skip

    def _is_provisioned(self, cluster: str) -> bool:
        status = (self.store.find("rayclusters", cluster) or {}).get("status") or {}
        return any(one["type"] == "RayClusterProvisioned" for one in status.get("conditions") or [])

    def _wait_head(self, plural: str, name: str, uid: str, cluster: str) -> Any:
        """Until all pods run: so long it is Initializing."""
        while (there := self.there(plural, name, uid)) and not there["metadata"].get("deletionTimestamp"):
            head = self.heads.get(cluster)
            if head is not None and self._is_provisioned(cluster):
                return head
            time.sleep(PAUSE)
        return None

    def _drive(self, name: str, uid: str, cluster: str) -> None:
        head = self._wait_head("rayjobs", name, uid, cluster)
        if head is None:
            return
        spec = self.store.get("rayjobs", name)["spec"]
        self._hand_over(head, spec)
        self._status("rayjobs", name, jobDeploymentStatus="Running",
                     dashboardURL=f"{cluster}-head-svc.{self.server.namespace}.svc.cluster.local:8265")  # fmt: skip
        began, last = time.monotonic(), ""
        heard = known = began
        while (there := self.there("rayjobs", name, uid)) and not there["metadata"].get("deletionTimestamp"):
            if "status" in self.hold:
                time.sleep(PAUSE)
                continue
            deadline = spec.get("activeDeadlineSeconds")
            if deadline and time.monotonic() - began > deadline:
                self._status("rayjobs", name, jobDeploymentStatus="Failed", reason="DeadlineExceeded", endTime=now())
                return
            try:
                found = self.heads.get(cluster, head).http.get(f"/api/jobs/{spec['jobId']}")
            except (httpx.HTTPError, RuntimeError):  # gone, or closed with its pod
                if time.monotonic() - heard > self.silence_seconds:
                    self._status("rayjobs", name, jobDeploymentStatus="Failed", reason="JobStatusCheckTimeoutExceeded",
                                 endTime=now())  # fmt: skip
                    return
                time.sleep(PAUSE)  # kuberay #1489: the status stays as it was
                continue
            heard = time.monotonic()
            if found.status_code == 200:
                known = heard
                last = self._follow(name, found.json(), last)
                if last in ("SUCCEEDED", "FAILED", "STOPPED"):
                    return
            elif found.status_code == 404 and heard - known > self.resubmit_seconds:
                with contextlib.suppress(httpx.HTTPError, RuntimeError):
                    self._hand_over(self.heads.get(cluster, head), spec)
                known = heard
            time.sleep(PAUSE)

    @staticmethod
    def _hand_over(head: Head, spec: Object) -> None:
        body = {
            "entrypoint": head.inside(spec["entrypoint"]), "submission_id": spec["jobId"],
            "runtime_env": yaml.safe_load(spec.get("runtimeEnvYAML") or "{}"), "metadata": spec.get("metadata") or {},
            "entrypoint_num_cpus": spec.get("entrypointNumCpus"), "entrypoint_num_gpus": spec.get("entrypointNumGpus"),
        }  # fmt: skip
        answer = head.http.post("/api/jobs/", json={k: v for k, v in body.items() if v})
        assert answer.status_code == 200, answer.text

    def _follow(self, name: str, ray: Object, last: str) -> str:
        status = str(ray["status"])
        if status == last:
            return last
        times = {k: _time(ray.get(v)) for k, v in (("startTime", "start_time"), ("endTime", "end_time"))}
        info = {key: value for key, value in times.items() if value}
        if status in ("SUCCEEDED", "STOPPED"):
            self._status("rayjobs", name, jobDeploymentStatus="Complete", jobStatus=status, endTime=now(),
                         message=ray.get("message"), rayJobInfo=info)  # fmt: skip
        elif status == "FAILED":
            self._status("rayjobs", name, jobDeploymentStatus="Failed", jobStatus=status, reason="AppFailed",
                         endTime=now(), message=ray.get("message"), rayJobInfo=info)  # fmt: skip
        else:
            self._status("rayjobs", name, jobStatus=status, message=ray.get("message"), rayJobInfo=info)
        return status

    # RayService: rayservices.py has the way that it goes.

    def _service(self, name: str, uid: str) -> None:
        RayServiceLoop(self, name, uid).run()


def _time(ms: Any) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.floor(ms / 1000))) if ms else None
