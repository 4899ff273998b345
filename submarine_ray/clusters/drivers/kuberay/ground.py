"""The namespace itself: whether it is there, and what its labels forbid pods.

Source: Kubernetes' "Pod Security Standards" and "Enforce Pod Security Standards with Namespace Labels".
"""

from __future__ import annotations

import time

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.kuberay.api import ApiError, KubeApi
from submarine_ray.clusters.drivers.kuberay.objects import Object

ENFORCE = "pod-security.kubernetes.io/enforce"
# A namespace hardly ever changes, and a cluster at rest costs its API server next to nothing.
LOOK_SECONDS = 30.0
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"


def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}"


def level(found: Object) -> str:
    """The Pod Security standard that a namespace enforces."""
    return str((found["metadata"].get("labels") or {}).get(ENFORCE) or PRIVILEGED)


class Ground:
    """The state of one namespace, as it was last read."""

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._level: str | None = None
        self._well_until = 0.0

    def look(self) -> None:
        """Read the namespace itself, because a list in a missing namespace is empty and no error. Raises Unreachable if
        it is missing or being deleted. Without the right to read it, it is assumed to exist.
        """
        if time.monotonic() < self._well_until:
            return
        try:
            found = self._api.get(path(self._namespace))
        except ApiError as failure:
            if failure.status == 404:
                raise Unreachable(
                    f"there is no namespace {self._namespace!r} (kubectl create namespace {self._namespace})"
                ) from failure
            self._level = self._level or PRIVILEGED
            self._well_until = time.monotonic() + LOOK_SECONDS
            return
        self._level = level(found)
        if (found.get("status") or {}).get("phase") == "Terminating":
            raise Unreachable(f"the namespace {self._namespace!r} is being deleted")
        self._well_until = time.monotonic() + LOOK_SECONDS

    @property
    def is_restricted(self) -> bool:
        """Whether the API server refuses pods whose user may be root. Raises Unreachable."""
        if self._level is None:
            self.look()
        return self._level == RESTRICTED
