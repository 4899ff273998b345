"""Taking leave of a cluster: what users are told of what goes, what stays, and what a deletion waits for."""

from __future__ import annotations

from submarine_ray.clusters.drivers.kuberay import names
from submarine_ray.clusters.register import registered
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.spec.clusters import KubeRayClusterSpec

KINDS = "rayjobs,rayservices,rayclusters,secrets,configmaps"


def given_up(row: ClusterRow, why_not: str | None) -> str:
    """What has become of a cluster that was deleted by force, and what is left to do by hand."""
    if row.kind != "kuberay":
        return f"{row.name!r} is forgotten; what ran there goes on until it ends."
    if why_not is None:
        return f"{row.name!r} is forgotten, and what was made there is being deleted."
    found = registered(row)
    namespace = found.namespace if isinstance(found, KubeRayClusterSpec) else "<its namespace>"
    by_hand = f"kubectl delete {KINDS} -n {namespace} -l {names.selector(row.uid or '')}"
    return (
        f"{row.name!r} is forgotten. What was made there could not be deleted ({why_not}). "
        f"Should it still be there, this deletes it: {by_hand}"
    )


def awaited(name: str, why: str) -> str:
    """What a deletion waits for."""
    return (
        f"{name!r} is being deleted, but what was made there cannot be taken away now ({why}). "
        f"It goes when that works; to forget it at once: submarine cluster delete {name} --force"
    )
