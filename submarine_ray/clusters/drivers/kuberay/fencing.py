"""Objects that are written with the number of their generation: an older one never replaces a newer one.

Kubernetes compares for us: a write that names a resourceVersion fails if somebody else has written since it was read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from submarine_ray.clusters.drivers import fences
from submarine_ray.clusters.drivers.base import Fence, SubmissionRefused, Unreachable
from submarine_ray.clusters.drivers.kuberay import manifests, names
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace, refusal
from submarine_ray.clusters.drivers.kuberay.objects import Object

ATTEMPTS = 5
Written = TypeVar("Written")


def of(found: Object) -> Fence:
    """The generation that an object was written with."""
    number, _, digest = (found["metadata"].get("annotations") or {}).get(names.FENCE_ANNOTATION, "0").partition(" ")
    return Fence(int(number), digest)


def stamped(manifest: Object, fence: Fence) -> Object:
    """The manifest with the number of its generation, which its fingerprint leaves out."""
    annotations = {
        **(manifest["metadata"].get("annotations") or {}),
        names.FENCE_ANNOTATION: f"{fence.number} {fence.digest}",
    }
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def put(
    at: Namespace,
    plural: str,
    manifest: Object,
    known: Object | None,
    fence: Fence,
    keep: Callable[[Object, Object], None] = lambda wanted, there: None,
) -> Object | None:
    """Make it so; the object as it was written, None where nothing had to be. `known` is what the watch has shown, and
    `keep` brings into the manifest what others have decided of the object that is there.

    Raises Superseded, SubmissionRefused, Blocked, Unreachable.
    """
    manifest = stamped(manifest, fence)
    if known is None:
        fences.check(Fence(), fence)
        if (made := at.create(plural, manifest)) is not None:
            return made
    elif manifests.fingerprint(known) == manifests.fingerprint(manifest) and of(known) == fence:
        return None
    name = manifest["metadata"]["name"]

    def write(path: str, there: Object) -> Object:
        if not at.is_ours(there):
            raise SubmissionRefused(f"the namespace has a {there['kind']} {name} of somebody else")
        fences.check(of(there), fence)
        if manifests.fingerprint(there) == manifests.fingerprint(manifest):
            version = there["metadata"]["resourceVersion"]
            annotations = {names.FENCE_ANNOTATION: manifest["metadata"]["annotations"][names.FENCE_ANNOTATION]}
            return at.api.patch(path, {"metadata": {"resourceVersion": version, "annotations": annotations}})
        keep(manifest, there)
        return at.api.replace(path, manifests.onto(there, manifest))

    return _from_what_is_there(at, plural, name, write)


def delete(at: Namespace, plural: str, name: str, fence: Fence) -> None:
    """Delete an object unless it has a newer generation. Raises Superseded, Blocked, Unreachable."""

    def write(path: str, there: Object) -> None:
        fences.check(of(there), fence)
        at.api.delete(path, there["metadata"]["resourceVersion"])

    _from_what_is_there(at, plural, name, write)


def _from_what_is_there(
    at: Namespace, plural: str, name: str, write: Callable[[str, Object], Written]
) -> Written | None:
    """Read an object, and write what depends on it; after a conflict, do both again."""
    path = at.path(plural, name)
    for _ in range(ATTEMPTS):
        try:
            return write(path, at.api.get(path))
        except ApiError as failure:
            if failure.status == 404:
                return None  # deleted meanwhile: the next look tells
            if failure.status != 409:
                raise refusal(failure, plural, at.spec.namespace) from failure
    raise Unreachable(f"{name} of the {plural} was changed by others {ATTEMPTS} times in a row")
