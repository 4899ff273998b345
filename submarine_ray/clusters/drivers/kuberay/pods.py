"""Builds pod templates: resources, placement, volumes and environment. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from submarine_ray.clusters.drivers.kuberay.objects import Fields
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.kubernetes import PodOptions, Volume
from submarine_ray.spec.launch import GRACE_MARGIN, GRACE_SECONDS, RAY_STOP_VARIABLE
from submarine_ray.spec.quantities import GPU_KEY, Resources

# Ray's own processes and its object store live in the pod too: without room for them, a replica that uses what it asked
# for is killed. Measured: raylet, agents and their Python take 0.5 GiB.
OVERHEAD_BYTES = 768 * 1024**2
# Scripts hardly use the store; functions, Ray Data and Ray scripts fill it. Ray's own default is 30 % of the memory.
STORE_BYTES = 256 * 1024**2
STORE_SHARE = 0.25
DEFAULT_MEMORY = 2 * 1024**3
DEFAULT_CPU = 1.0
MOUNT = "/etc/submarine"
RUNNER_ZIP = f"{MOUNT}/runner/runner.zip"
LAUNCH_FILE = f"{MOUNT}/launch/launch.json"
PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": 8000}

CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_ENVIRONMENT = {
    "PYTHONPATH": RUNNER_ZIP,
    "PYTHONUNBUFFERED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RUNTIME_ENV_RETRY_TIMES": "1",  # pip itself tries again where that may help
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_worker_niceness": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # who asked for no GPU sees none
}
# Facts behind: docs/decisions/0002-local-cluster.md. In a pod Ray's own paths and ports are free.
SERVE_ENVIRONMENT = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}


@dataclass(frozen=True)
class Pod:
    """One kind of pod. `size` is what its replica asked for; a head without a replica offers Ray no CPUs.

    `secret` is mounted where the runner finds its launch, `store` is Ray's object store in bytes; `env` and
    `secret_env` (variable: secret, key) are added. `grace`: seconds between SIGTERM and SIGKILL for what runs in it.
    """

    size: Resources
    image: str
    is_head: bool = False
    offers: bool = True
    secret: str | None = None
    runner: str | None = None
    store: int = STORE_BYTES
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    needs_account: bool = False
    grace: int = GRACE_SECONDS

    @property
    def leaving_seconds(self) -> int:
        """How long a pod may take to end, in seconds: its processes' time of grace, and the runner's own after it."""
        return self.grace + GRACE_MARGIN


def merged(*options: PodOptions) -> PodOptions:
    """Several options as one; later ones win."""
    found = PodOptions()
    for one in options:
        found = PodOptions(
            node_selector=found.node_selector | one.node_selector,
            tolerations=[*found.tolerations, *(t for t in one.tolerations if t not in found.tolerations)],
            priority_class=one.priority_class or found.priority_class,
            service_account=one.service_account or found.service_account,
            image_pull_secrets=list(dict.fromkeys([*found.image_pull_secrets, *one.image_pull_secrets])),
            labels=found.labels | one.labels,
            annotations=found.annotations | one.annotations,
            volumes=list({volume.name: volume for volume in [*found.volumes, *one.volumes]}.values()),
            secrets=list({secret.name: secret for secret in [*found.secrets, *one.secrets]}.values()),
        )
    return found


def start_params(pod: Pod) -> dict[str, str]:
    """The parameters of `ray start`: the resources that Ray may schedule in the pod, which are what the replica asked
    for.
    """
    found = {"object-store-memory": str(pod.store), "num-cpus": str(math.ceil(pod.size.cpu or DEFAULT_CPU))}
    if pod.is_head:
        found["dashboard-host"] = "0.0.0.0"  # noqa: S104 (inside a pod, and with a token)
    if not pod.offers:
        return found | {"num-cpus": "0"}
    found["memory"] = str(pod.size.memory or DEFAULT_MEMORY)
    if pod.size.gpu:
        found["num-gpus"] = str(math.ceil(pod.size.gpu))
    return found


def template(cluster: KubeRayClusterSpec, options: PodOptions, pod: Pod) -> Fields:
    """The pod template of a Ray group."""
    spec: Fields = {
        "containers": [_container(cluster, options, pod)],
        "volumes": [*_own_volumes(pod), *(_volume(volume) for volume in options.volumes)],
        "securityContext": pod_security(cluster),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pod.leaving_seconds,
    }
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    elif not pod.needs_account:
        spec["automountServiceAccountToken"] = False
    optional = {
        "nodeSelector": dict(options.node_selector),
        "tolerations": [t.model_dump(by_alias=True, exclude_none=True) for t in options.tolerations],
        "priorityClassName": options.priority_class,
        "imagePullSecrets": [{"name": name} for name in options.image_pull_secrets],
    }
    spec |= {key: value for key, value in optional.items() if value}
    metadata: Fields = {"labels": {**options.labels, **pod.labels}}
    if options.annotations:
        metadata["annotations"] = dict(options.annotations)
    return {"metadata": metadata, "spec": spec}


def _container(cluster: KubeRayClusterSpec, options: PodOptions, pod: Pod) -> Fields:
    secrets = [{"name": one.name, "value_from": (one.secret, one.key)} for one in options.secrets]
    secrets += [{"name": name, "value_from": reference} for name, reference in pod.secret_env.items()]
    environment = _ENVIRONMENT | {RAY_STOP_VARIABLE: str(pod.leaving_seconds)}
    if not pod.runner:
        del environment["PYTHONPATH"]
    container: Fields = {
        "name": "ray-head" if pod.is_head else "ray-worker",
        "image": pod.image,
        "resources": quantities(pod.size, pod.store),
        "env": [{"name": name, "value": value} for name, value in {**environment, **pod.env}.items()]
        + [
            {
                "name": one["name"],
                "valueFrom": {"secretKeyRef": dict(zip(("name", "key"), one["value_from"], strict=True))},
            }
            for one in secrets
        ],
        "volumeMounts": [*_own_mounts(pod), *(_mount(volume) for volume in options.volumes)],
        "securityContext": CONTAINER_SECURITY,
    }
    if pod.runner:
        # A pod that is taken away would tell its first process alone, and that passes nothing on.
        container["lifecycle"] = {"preStop": {"exec": {"command": ["python", "-m", "submarine_ray.runner.leave"]}}}
    if cluster.image_pull_policy:
        container["imagePullPolicy"] = cluster.image_pull_policy
    if pod.is_head:
        container["ports"] = [{"name": name, "containerPort": port} for name, port in PORTS.items()]
    return container


def pod_security(cluster: KubeRayClusterSpec) -> Fields:
    """With the containers' own, all that the standard `restricted` asks for; elsewhere images may be root's."""
    found: Fields = {"seccompProfile": {"type": "RuntimeDefault"}}
    return found | ({"runAsNonRoot": True} if cluster.run_as_non_root else {})


def store_for(size: Resources) -> int:
    """The size of the object store in a pod whose work goes through Ray, in bytes."""
    return max(STORE_BYTES, int((size.memory or DEFAULT_MEMORY) * STORE_SHARE))


def quantities(size: Resources, store: int) -> Fields:
    """Requests and limits: memory and GPUs the same in both, CPUs only requested, so that idle ones can be used."""
    memory = _bytes((size.memory or DEFAULT_MEMORY) + OVERHEAD_BYTES + store)
    firm = {"memory": memory} | ({GPU_KEY: str(math.ceil(size.gpu))} if size.gpu else {})
    return {"requests": {"cpu": _cores(size.cpu or DEFAULT_CPU), **firm}, "limits": firm}


def _cores(cpu: float) -> str:
    milli = round(cpu * 1000)
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def _bytes(count: int) -> str:
    """A size in Mi, rounded up: a pod with a little more has enough."""
    return f"{math.ceil(count / 1024**2)}Mi"


def _own_volumes(pod: Pod) -> list[Fields]:
    # The store, and as much again for what replicas share among themselves (PyTorch's data loaders).
    shared_memory = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _bytes(2 * pod.store)}}
    found: list[Fields] = [shared_memory]
    if pod.runner:
        found.append({"name": "submarine-runner", "configMap": {"name": pod.runner}})
    if pod.secret:
        found.append({"name": "submarine-launch", "secret": {"secretName": pod.secret, "defaultMode": 0o444}})
    return found


def _own_mounts(pod: Pod) -> list[Fields]:
    found: list[Fields] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 (in the pod)
    if pod.runner:
        found.append({"name": "submarine-runner", "mountPath": f"{MOUNT}/runner", "readOnly": True})
    if pod.secret:
        found.append({"name": "submarine-launch", "mountPath": f"{MOUNT}/launch", "readOnly": True})
    return found


def _mount(volume: Volume) -> Fields:
    found: Fields = {"name": volume.name, "mountPath": volume.mount_path}
    return found | ({"readOnly": True} if volume.read_only else {})


def _volume(volume: Volume) -> Fields:
    """A volume of a pod, as Kubernetes spells it."""
    if volume.claim:
        return {"name": volume.name, "persistentVolumeClaim": {"claimName": volume.claim}}
    if volume.nfs:
        return {"name": volume.name, "nfs": {"server": volume.nfs.server, "path": volume.nfs.path}}
    if volume.new_claim:
        claim: Fields = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": volume.new_claim.size}},
        }
        if volume.new_claim.storage_class:
            claim["storageClassName"] = volume.new_claim.storage_class
        return {"name": volume.name, "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
    return {"name": volume.name, "hostPath": {"path": volume.host_path}}
