"""Types for Kubernetes' objects: metadata in full, the spec and status of a kind as fields by name.

Source: Kubernetes' `ObjectMeta`, `ListMeta`, `Status` and `WatchEvent` (apimachinery, `meta/v1`).
"""

from __future__ import annotations

from typing import Any, TypedDict

Fields = dict[str, Any]  # a part whose shape is Kubernetes', Ray's or KubeRay's: a spec, a status, a container


class OwnerReference(TypedDict):
    """The object that another one is deleted with."""

    apiVersion: str
    kind: str
    name: str
    uid: str


class Metadata(TypedDict, total=False):
    """What every object says of itself. Times are RFC 3339."""

    name: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: int
    creationTimestamp: str
    deletionTimestamp: str
    labels: dict[str, str]
    annotations: dict[str, str]
    ownerReferences: list[OwnerReference]
    managedFields: list[Fields]


class Object(TypedDict, total=False):
    """An object as it is sent and answered; `data` is a Secret's or a ConfigMap's."""

    apiVersion: str
    kind: str
    metadata: Metadata
    spec: Fields
    status: Fields
    type: str
    data: dict[str, str]
    binaryData: dict[str, str]
    immutable: bool


ListMetadata = TypedDict("ListMetadata", {"resourceVersion": str, "continue": str}, total=False)


class ObjectList(TypedDict, total=False):
    """A page of a list."""

    metadata: ListMetadata
    items: list[Object]


class Failure(TypedDict, total=False):
    """Kubernetes' `Status`: why the API server did not do something."""

    code: int
    reason: str
    message: str


class Event(TypedDict):
    """What a watch tells: `object` is a Failure where `type` is ERROR."""

    type: str
    object: Object
