"""Which objects of a namespace an experiment may name: those that the registration allows, never the platform's own.

Whoever may submit could else read any Secret by mounting it, or act with any service account's rights. Pure, but for
`check`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from posixpath import normpath
from typing import NamedTuple

from submarine_ray.clusters.drivers.base import SubmissionRefused
from submarine_ray.clusters.drivers.kuberay import names, namespace
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.kubernetes import PodOptions

# The service's own, as cluster_configs/kubernetes names them, and what it makes: launches, tokens of endpoints.
_OWN = (
    *("submarine", "submarine-*", "mariadb", "mariadb-*", "data-mariadb-*", "kuberay-operator"),
    *("experiment-*", "notebook-*", "*[0-9]-token", "*[0-9]-token-*"),
)
_PARTS = ("app.kubernetes.io/part-of", "app.kubernetes.io/managed-by")
# KubeRay's Secrets are the tokens of Ray clusters, and belong to these.
_OWNERS = frozenset({"RayCluster", "RayJob", "RayService"})
_SYSTEM_PRIORITY = "system-"


class Named(NamedTuple):
    """A thing that an experiment names: where, of which kind, what, and the patterns of those that it may."""

    field: str
    kind: str
    name: str
    patterns: list[str]
    key: str


class Refusal(NamedTuple):
    field: str
    message: str


def _named(cluster: KubeRayClusterSpec, asked: PodOptions) -> Iterator[Named]:
    """All that pods can be given by name. A new field of PodOptions that names something belongs here."""
    allow = cluster.allow
    if asked.service_account:
        yield Named(
            "serviceAccount", "service account", asked.service_account, allow.service_accounts, "serviceAccounts"
        )
    for name in asked.image_pull_secrets:
        yield Named("imagePullSecrets", "Secret", name, allow.secrets, "secrets")
    for variable in asked.secrets:
        yield Named("secrets", "Secret", variable.secret, allow.secrets, "secrets")
    for volume in asked.volumes:
        if volume.claim:
            yield Named("volumes.claim", "claim", volume.claim, allow.claims, "claims")
        if volume.nfs:
            place = f"{volume.nfs.server}:{normpath(volume.nfs.path)}"
            yield Named("volumes.nfs", "directory", place, allow.nfs, "nfs")
        if volume.host_path:
            yield Named(
                "volumes.hostPath", "directory of nodes", normpath(volume.host_path), allow.host_paths, "hostPaths"
            )


def refusal(cluster: KubeRayClusterSpec, asked: PodOptions) -> Refusal | None:
    """Why an experiment may not have what it asks for; None if it may."""
    redis = cluster.fault_tolerance.redis_password if cluster.fault_tolerance else None
    own = (*_OWN, *((redis.secret,) if redis else ()))
    for one in _named(cluster, asked):
        field = f"kubernetes.{one.field}"
        if _fits(one.name, own):
            return Refusal(field, f"the {one.kind} {one.name!r} is the platform's own, and no experiment may name it")
        if not cluster.trust_experiments and not _fits(one.name, one.patterns):
            allowed = f"it allows {', '.join(one.patterns)}" if one.patterns else "it allows none"
            return Refusal(
                field,
                f"cluster {cluster.name!r} does not let experiments name the {one.kind} {one.name!r}: {allowed} "
                f"(allow.{one.key} of its registration)",
            )
    if (asked.priority_class or "").startswith(_SYSTEM_PRIORITY):
        return Refusal("kubernetes.priorityClass", f"{asked.priority_class!r} is for Kubernetes' own pods")
    return None


def check(at: Namespace, asked: PodOptions) -> None:
    """What names do not tell: a Secret that is marked as the platform's or as a Ray cluster's. Raises
    SubmissionRefused, Blocked, Unreachable.
    """
    cluster = at.spec
    if why := refusal(cluster, asked):  # the registration may have changed since the submission
        raise SubmissionRefused(f"{why.field}: {why.message}")
    for name in sorted({one.name for one in _named(cluster, asked) if one.kind == "Secret"}):
        try:
            metadata = at.api.get(at.path("secrets", name))["metadata"]
        except ApiError as failure:
            if failure.status == 404:  # the pods say that they wait for it
                continue
            raise namespace.refusal(failure, "secrets", cluster.namespace) from failure
        labels = metadata.get("labels") or {}
        owners = {owner.get("kind") for owner in metadata.get("ownerReferences") or []}
        if any(labels.get(key) == names.MANAGER for key in _PARTS) or owners & _OWNERS:
            raise SubmissionRefused(f"the Secret {name!r} is the platform's own, and no experiment may name it")


def _fits(name: str, patterns: tuple[str, ...] | list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
