"""Clusters that the service submits to: a Ray cluster that runs already, or KubeRay on Kubernetes."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, model_validator

from submarine_ray.spec.base import Document, Text, check_name
from submarine_ray.spec.kubernetes import (
    MAX_SECONDS,
    Allowed,
    Deletion,
    Image,
    ObjectName,
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
    """What placement can ask for: {"zone": "a", "team": "vision"}."""
    gpu_type: str | None = Field(default=None, max_length=63)
    """The GPUs that it has: A100."""


class RayClusterSpec(_Registered):
    """A running Ray cluster: its dashboard's address and its token."""

    kind: Literal["ray"] = "ray"
    """A Ray cluster that runs already."""
    address: Annotated[str, AfterValidator(_http_address)]
    """Of its dashboard: http://host:8265."""
    token: SecretStr | None = None
    """Where its dashboard asks for one; kept encrypted, never answered."""
    serve_url: Annotated[str, AfterValidator(_http_address)] | None = Field(
        default=None, description="Where Ray Serve answers, as users reach it"
    )


class HeadSpec(Document):
    """The head pod of experiments with several replicas, of endpoints and of the shared cluster."""

    resources: Quantities = "cpu=1,memory=2Gi"
    """What it asks for; no replica runs in it."""


class WorkerGroup(Document):
    """Equal workers of the shared cluster."""

    name: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")
    """Small letters, digits and '-'."""
    resources: Quantities = "cpu=2,memory=4Gi"
    """Of each worker."""
    replicas: int = Field(default=1, ge=0, le=10_000)
    """How many there are; with autoscaling, to begin with."""
    min_replicas: int | None = Field(default=None, ge=0, le=10_000)
    """How few Ray's autoscaler may leave."""
    max_replicas: int | None = Field(default=None, ge=1, le=10_000)
    """How many Ray's autoscaler may make."""
    pods: PodOptions = Field(default_factory=PodOptions)
    """Added to the cluster's: a spot pool's selector and tolerations."""

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
    """An external Redis that keeps the head's state, so that a new head pod goes on with what runs."""

    redis_address: str = Field(pattern=r"^(rediss?://)?[A-Za-z0-9.-]+:\d+$")
    """redis:6379."""
    redis_password: SecretKey | None = None
    """Where its password is."""


class Queueing(Document):
    """The system that admits jobs; the operator must be set up for it."""

    system: Literal["kueue", "volcano", "yunikorn"]
    """Which one."""
    queue: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    """The queue of experiments that name none."""


class KubeRayClusterSpec(_Registered):
    """A namespace of a Kubernetes cluster with KubeRay's operator."""

    kind: Literal["kuberay"]
    """KubeRay on Kubernetes."""
    mode: Literal["dedicated", "shared"] = "dedicated"
    """A Ray cluster for each experiment, or one long-lived for all."""
    kubeconfig: SecretStr | None = None
    """A kubeconfig's text without commands and files; kept encrypted, never answered."""
    kubeconfig_file: str | None = Field(default=None, max_length=4096)
    """Or its path on the service's machine. Neither: the service account of the pod that the service runs in."""
    context: str | None = Field(default=None, max_length=253)
    """Which of the kubeconfig's contexts; default its current one."""
    namespace: Annotated[ObjectName, AfterValidator(_namespace)] = "default"
    """Where everything is made."""
    access: Literal["auto", "direct", "proxy"] = "auto"
    """How the service reaches pods: directly from inside, or through the API server; auto: directly in the cluster."""
    image: Image = RAY_IMAGE
    """Of pods whose experiment names none."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When nodes fetch images."""
    ray_version: str = Field(default=RAY_VERSION, pattern=r"^\d+\.\d+\.\d+$")
    """The Ray in the image; at least 2.52, from where on KubeRay can ask for tokens."""
    pip: list[str] = Field(default_factory=list)
    """Packages that the image lacks, installed for every job and endpoint."""
    head: HeadSpec = Field(default_factory=HeadSpec)
    """The head pod."""
    workers: list[WorkerGroup] = Field(default_factory=list, max_length=50)
    """The shared cluster's workers."""
    pods: PodOptions = Field(default_factory=PodOptions)
    """All pods."""
    idle_seconds: int = Field(default=60, ge=1, le=MAX_SECONDS)
    """After how long Ray's autoscaler takes an idle worker away."""
    fault_tolerance: FaultTolerance | None = None
    """Keeps the head's state elsewhere."""
    queueing: Queueing | None = None
    """Who admits jobs."""
    deletion: Deletion = Field(default_factory=Deletion)
    """When the pods of ended experiments go."""
    submission_mode: Literal["HTTPMode", "K8sJobMode"] = "HTTPMode"
    """Who hands the entrypoint to Ray: the operator itself, or a pod more for each job."""
    limits: Quantities | None = None
    """The most that runs at once; the rest waits here. None: Kubernetes decides."""
    node: Quantities | None = None
    """What the largest node has: a larger replica is refused at once."""
    storage: str | None = Field(default=None, pattern=r"^(/|[a-z0-9]+://)\S+$")
    """Where checkpoints go: a mounted volume's path, or a URL such as s3://bucket/path that pods may write to."""
    serve_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        default=None, pattern=r"^https?://[^\s@]+$", max_length=512
    )
    """Where users reach endpoints, {endpoint} in place of the name; default their Service inside the cluster."""
    run_as_non_root: bool | None = None
    """Whether Kubernetes must refuse images that are root's; default as the namespace's PodSecurity standard says."""
    allow: Allowed = Field(default_factory=Allowed)
    """Which Secrets, claims, service accounts and directories experiments may name."""
    trust_experiments: bool = False
    """Let experiments name all of these, but for the platform's own."""

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
    """Let the platform choose among its clusters."""

    policy: Literal["first", "leastLoaded"] = "first"
    """The first with room now in the order of names, or the one with the largest free share; else where it will fit."""
    labels: dict[str, Text] = Field(default_factory=dict)
    """Labels that the cluster must have."""
    gpu_type: str | None = None
    """The GPUs that it must have: A100."""
