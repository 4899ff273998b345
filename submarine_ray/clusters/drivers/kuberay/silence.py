"""Detects that KubeRay's operator is down, or does not watch the namespace. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from submarine_ray.clusters.drivers.base import Problem
from submarine_ray.clusters.drivers.kuberay.objects import Object

PATIENCE_SECONDS = 60.0
# Time of two machines is compared: a little more than was left.
MARGIN_MS = 1_000
REASON = "OperatorSilent"
_LOOK = "kubectl get pods -A -l app.kubernetes.io/name=kuberay-operator"


def age(found: Object) -> float:
    """How long an object has been there, in seconds."""
    return _since(found["metadata"]["creationTimestamp"])


def of(found: Object, what: str, namespace: str) -> Problem | None:
    """Of an object without a status: that it has waited too long for one."""
    if age(found) < PATIENCE_SECONDS:
        return None
    return Problem(
        REASON,
        f"KubeRay has not looked at the {what} for a minute: its operator is down, or does not watch the namespace "
        f"{namespace!r}. It goes on when the operator does ({_LOOK}).",
    )


def held(found: Object) -> bool:
    """Whether an object is to be deleted for too long: KubeRay's finalizer stays while the operator is away."""
    asked = found["metadata"].get("deletionTimestamp")
    return bool(asked) and _since(asked) >= PATIENCE_SECONDS


def of_deletion(found: Object) -> Problem | None:
    """Of an object that is held."""
    if not held(found):
        return None
    told = f"The RayJob was deleted, and KubeRay does not let it go: its operator is down ({_LOOK})."
    return Problem(REASON, told)


def again_ms(found: Object) -> int:
    """When to look again at an object without a status: the watch will report nothing until then."""
    return max(MARGIN_MS, round((PATIENCE_SECONDS - age(found)) * 1000) + MARGIN_MS)


def _since(time_text: object) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(str(time_text))).total_seconds()
