"""Clusters, and what is uploaded for them."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class Cluster(Answer):
    """A cluster that experiments can run on."""

    name: str
    """Its name."""
    kind: str
    """local, ray or kuberay."""
    address: str | None
    """Of its dashboard."""
    serve_url: str | None
    """Where its endpoints answer."""
    mode: str | None
    """On Kubernetes: dedicated or shared."""
    namespace: str | None
    """On Kubernetes: where everything is made."""
    context: str | None
    """On Kubernetes: the kubeconfig's context."""
    allow: dict[str, list[str]] | None
    """On Kubernetes: patterns of what experiments may name there."""
    trust_experiments: bool | None
    """On Kubernetes: whether they may name everything but the platform's own."""
    labels: dict[str, str]
    """What placement can ask for."""
    gpu_type: str | None
    """The GPUs that it has."""
    created_time: str | None
    """When it was registered."""
    observed_time: str | None
    """When it was last looked at."""
    deleting: bool
    """Whether it goes as soon as what was made there is gone."""
    healthy: bool | None
    """Whether it answered then; null before the first look."""
    message: str | None
    """What is wrong, or what users should know of a cluster that answers."""
    nodes: int | None
    """How many there are."""
    resources: dict[str, float | None] | None
    """Its CPUs, memory in bytes, and GPUs; null where there is no bound."""


class ClusterCheck(Answer):
    """One thing that a cluster needs."""

    check: str
    """What was looked at."""
    ok: bool | None
    """Whether it is as it must be; null if nobody could tell."""
    message: str
    """What was found."""
    fix: str | None
    """What to do, if it is not well."""


class Package(Answer):
    """An uploaded directory."""

    url: str
    """`package://<sha256>`, for an experiment's `code.url`."""
