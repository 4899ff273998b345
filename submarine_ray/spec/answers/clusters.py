"""Clusters, and what is uploaded for them."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class Cluster(Answer):
    """A registered cluster, on which experiments, notebooks and endpoints run."""

    name: str
    """The cluster's name."""
    kind: str
    """The kind of cluster: local, ray or kuberay."""
    address: str | None
    """The URL of its Ray dashboard."""
    serve_url: str | None
    """The URL at which its endpoints answer."""
    mode: str | None
    """Kubernetes only: dedicated (a Ray cluster for each experiment) or shared."""
    namespace: str | None
    """Kubernetes only: the namespace in which resources are created."""
    context: str | None
    """Kubernetes only: the kubeconfig's context."""
    allow: dict[str, list[str]] | None
    """Kubernetes only: by kind, patterns of the resources that experiments may name."""
    trust_experiments: bool | None
    """Kubernetes only: whether experiments may name any resource but the platform's own."""
    labels: dict[str, str]
    """Labels that an experiment's `placement` can ask for."""
    gpu_type: str | None
    """The model of its GPUs, such as A100."""
    created_time: str | None
    """When the cluster was registered."""
    observed_time: str | None
    """When the service last looked at it."""
    deleting: bool
    """Whether the cluster is being removed: it disappears once its resources are gone."""
    healthy: bool | None
    """Whether the cluster answered at the last look; null before the first look."""
    message: str | None
    """What is wrong with the cluster, or what users should know about it."""
    nodes: int | None
    """The number of nodes."""
    resources: dict[str, float | None] | None
    """Its total `cpu`, `memory` in bytes and `gpu`; null means no limit."""


class ClusterCheck(Answer):
    """The result of one check of a cluster."""

    check: str
    """What was checked."""
    ok: bool | None
    """Whether the check passed; null if it could not be carried out."""
    message: str
    """What the check found."""
    fix: str | None
    """How to mend it, if the check failed."""


class Package(Answer):
    """An uploaded directory of code."""

    url: str
    """The URL to use as an experiment's `code.url`: `package://<sha256>`."""
