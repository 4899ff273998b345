"""Clusters that the service submits to: a Ray cluster that runs already, or KubeRay on Kubernetes."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, model_validator

from submarine_ray.spec.base import Document, Text, check_name
from submarine_ray.spec.kubernetes import (
    MAX_SECONDS,
    Allowed,
    Image,
    ObjectName,
    PodDeletion,
    PodOptions,
    SecretKey,
)
from submarine_ray.spec.quantities import Quantities

LOCAL_CLUSTER = "local"
RAY_VERSION = "2.60.0"
RAY_IMAGE = f"rayproject/ray:{RAY_VERSION}-py311"


def _http_url(value: str) -> str:
    """`value`, if what splits addresses later can split it. Raises ValueError."""
    try:
        parts = urlsplit(value)
        (parts.hostname or "").encode("idna")
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as failure:
        raise ValueError(f"{value[:120]!r} is not an address: {failure}") from failure
    if not is_whole:
        raise ValueError(f"{value[:120]!r} is not an address; write for example http://host:8265")
    return value


def _http_address(value: str) -> str:
    parts = urlsplit(_http_url(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value[:120]!r} is not the address of a Ray dashboard; write for example http://host:8265")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into an address; give the token as 'token'")
    return value.rstrip("/")


def _namespace(value: str) -> str:
    if len(value) > 63 or "." in value:
        raise ValueError(f"{value[:80]!r} cannot be a namespace: use up to 63 small letters, digits and '-'")
    return value


ClusterName = Annotated[str, AfterValidator(lambda v: check_name(v, "a cluster"))]


class _Registered(Document):
    """What clusters of every kind have."""

    name: ClusterName
    """1 to 63 letters, digits, `-`, `_` or `.`."""
    labels: dict[str, Text] = Field(default_factory=dict, max_length=64)
    """Labels that an experiment's `placement` can ask for: {"zone": "a", "team": "vision"}."""
    gpu_type: str | None = Field(default=None, max_length=63)
    """The model of its GPUs, such as A100."""


class RayClusterSpec(_Registered):
    """A running Ray cluster."""

    kind: Literal["ray"] = "ray"
    """A running Ray cluster."""
    address: Annotated[str, AfterValidator(_http_address)]
    """The URL of its Ray dashboard: http://host:8265."""
    token: SecretStr | None = None
    """The dashboard's token, if it requires one. Stored encrypted; never returned."""
    serve_url: Annotated[str, AfterValidator(_http_address)] | None = Field(
        default=None, description="The URL of Ray Serve, as users reach it."
    )


class HeadSpec(Document):
    """The head pod of a Ray cluster. No replica runs in it."""

    resources: Quantities = "cpu=1,memory=2Gi"
    """The resources that the head pod requests."""


class WorkerGroup(Document):
    """A group of equal workers in the shared cluster."""

    name: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")
    """Lower-case letters, digits and '-'."""
    resources: Quantities = "cpu=2,memory=4Gi"
    """The resources of each worker."""
    replicas: int = Field(default=1, ge=0, le=10_000)
    """The number of workers; with autoscaling, the initial number."""
    min_replicas: int | None = Field(default=None, ge=0, le=10_000)
    """The smallest number of workers for Ray's autoscaler."""
    max_replicas: int | None = Field(default=None, ge=1, le=10_000)
    """The largest number of workers for Ray's autoscaler."""
    pods: PodOptions = Field(default_factory=PodOptions)
    """Settings of these workers' pods, added to the cluster's: a spot pool's selector and tolerations."""

    @model_validator(mode="after")
    def _ordered(self) -> WorkerGroup:
        if not self.least <= self.replicas <= self.most:
            raise ValueError(f"workers {self.name}: minReplicas <= replicas <= maxReplicas does not hold")
        return self

    @property
    def least(self) -> int:
        return self.replicas if self.min_replicas is None else self.min_replicas

    @property
    def most(self) -> int:
        return max(self.replicas, 1) if self.max_replicas is None else self.max_replicas

    @property
    def scales(self) -> bool:
        return self.least != self.most


class FaultTolerance(Document):
    """An external Redis that keeps the head's state, so that a new head pod resumes the running work."""

    redis_address: str = Field(pattern=r"^(rediss?://)?[A-Za-z0-9.-]+:\d+$")
    """The address of Redis: redis:6379."""
    redis_password: SecretKey | None = None
    """The Secret that has the password."""


class Queueing(Document):
    """A queueing system for jobs. KubeRay's operator must be configured for it."""

    system: Literal["kueue", "volcano", "yunikorn"]
    """The queueing system."""
    queue: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    """The queue of experiments that name none."""


class KubeRayClusterSpec(_Registered):
    """A namespace of a Kubernetes cluster with KubeRay's operator."""

    kind: Literal["kuberay"]
    """KubeRay on Kubernetes."""
    mode: Literal["dedicated", "shared"] = "dedicated"
    """dedicated: a Ray cluster for each experiment; shared: one long-lived Ray cluster for all."""
    kubeconfig: SecretStr | None = None
    """A kubeconfig's text, without commands and files. Stored encrypted; never returned."""
    kubeconfig_file: str | None = Field(default=None, max_length=4096)
    """A kubeconfig's path on the service's machine. Without either: the service pod's service account."""
    context: str | None = Field(default=None, max_length=253)
    """The kubeconfig's context; default: its current context."""
    namespace: Annotated[ObjectName, AfterValidator(_namespace)] = "default"
    """The namespace in which resources are created."""
    access: Literal["auto", "direct", "proxy"] = "auto"
    """How the service reaches pods: direct, or proxy (through the API server). auto: direct from inside."""
    image: Image = RAY_IMAGE
    """The image of pods whose experiment names none."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When nodes pull images."""
    ray_version: str = Field(default=RAY_VERSION, pattern=r"^\d+\.\d+\.\d+$")
    """The version of Ray in the image; 2.52.0 or later, because of KubeRay's tokens."""
    pip: list[str] = Field(default_factory=list)
    """Packages that are missing in the image; installed for every job and endpoint."""
    head: HeadSpec = Field(default_factory=HeadSpec)
    """The head pod."""
    workers: list[WorkerGroup] = Field(default_factory=list, max_length=50)
    """The workers of the shared cluster."""
    pods: PodOptions = Field(default_factory=PodOptions)
    """Settings of all pods."""
    idle_seconds: int = Field(default=60, ge=1, le=MAX_SECONDS)
    """The seconds after which Ray's autoscaler removes an idle worker."""
    fault_tolerance: FaultTolerance | None = None
    """Keeps the head's state outside of its pod."""
    queueing: Queueing | None = None
    """The queueing system that admits jobs."""
    deletion: PodDeletion = Field(default_factory=PodDeletion)
    """When the pods of ended experiments are deleted."""
    submission_mode: Literal["HTTPMode", "K8sJobMode"] = "HTTPMode"
    """What submits the entrypoint to Ray: the operator (HTTPMode), or an extra pod for each job."""
    limits: Quantities | None = None
    """The largest total of resources in use at once; the rest waits here. Default: Kubernetes decides."""
    node: Quantities | None = None
    """The resources of the largest node. A replica that needs more is refused at once."""
    storage: str | None = Field(default=None, pattern=r"^(/|[a-z0-9]+://)\S+$")
    """Where checkpoints are stored: the path of a mounted volume, or a URL such as s3://bucket/path."""
    serve_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        default=None, pattern=r"^https?://[^\s@]+$", max_length=512
    )
    """The URL at which users reach endpoints, with {endpoint} for the name; default: the Service's URL."""
    run_as_non_root: bool | None = None
    """Whether Kubernetes refuses images that run as root; default: the namespace's PodSecurity standard."""
    allow: Allowed = Field(default_factory=Allowed)
    """The Secrets, claims, service accounts and directories that experiments may name."""
    trust_experiments: bool = False
    """Lets experiments name any of these, but for the platform's own."""

    @model_validator(mode="after")
    def _whole(self) -> KubeRayClusterSpec:
        if self.kubeconfig and self.kubeconfig_file:
            raise ValueError("give kubeconfig or kubeconfigFile, not both")
        if self.context and not (self.kubeconfig or self.kubeconfig_file):
            raise ValueError("context: there is no kubeconfig that could have it")
        if tuple(map(int, self.ray_version.split("."))) < (2, 52, 0):
            raise ValueError(f"rayVersion: {self.ray_version} cannot ask for tokens under KubeRay; use 2.52.0 or later")
        if self.mode == "shared" and not self.workers:
            self.workers = [WorkerGroup(name="workers")]
        if self.mode == "dedicated" and self.workers:
            raise ValueError("workers: only a shared cluster has them; experiments bring their own")
        if self.mode == "shared" and self.queueing:
            raise ValueError("queueing: only dedicated clusters can wait in a queue")
        return self


def _kind(document: object) -> str:
    """Which model: without `kind`, a running Ray cluster."""
    kind = document.get("kind", "ray") if isinstance(document, dict) else getattr(document, "kind", "ray")
    return str(kind)


ClusterSpec = Annotated[
    Annotated[RayClusterSpec, Tag("ray")] | Annotated[KubeRayClusterSpec, Tag("kuberay")], Discriminator(_kind)
]


class Placement(Document):
    """Rules by which the platform chooses a cluster."""

    policy: Literal["first", "leastLoaded"] = "first"
    """first: the first by name with room now; leastLoaded: the largest free share. Without room: where it fits."""
    labels: dict[str, Text] = Field(default_factory=dict)
    """Labels that the cluster must have."""
    gpu_type: str | None = None
    """The GPU model that the cluster must have: A100."""
