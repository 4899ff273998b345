"""What is particular to Kubernetes: how pods are placed and what they mount, queues, and when clusters go."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, cast

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from submarine_ray.spec.base import Document, Text
from submarine_ray.spec.quantities import parse_memory

_ANYTHING: TypeAdapter[object] = TypeAdapter(object)
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
# Source: the grammar of distribution's reference package, without the exotic parts that registries refuse anyway.
_IMAGE = re.compile(
    r"([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]{1,2}[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
    r"(@sha256:[0-9a-f]{64})?"
)
MAX_SECONDS = 365 * 86_400
# Labels under these prefixes are ours or the operator's to set.
_RESERVED = ("submarine-ray", "ray.io", "kubernetes.io", "k8s.io")


def check_image(value: str) -> str:
    """`value`, if it can be a container image. Raises ValueError."""
    if not _IMAGE.fullmatch(value):
        raise ValueError(
            f"{value[:120]!r} is not a container image; write for example rayproject/ray:2.60.0-py311 "
            "(no blanks, the name in small letters)"
        )
    return value


def check_object_name(value: str) -> str:
    """`value`, if a Kubernetes object can be named so (RFC 1123 subdomain). Raises ValueError."""
    if len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
        raise ValueError(
            f"{value[:80]!r} cannot be the name of a Kubernetes object: use small letters, digits, '-' and '.'"
        )
    return value


def check_labels(labels: dict[str, str]) -> dict[str, str]:
    """Labels that Kubernetes takes and that nobody else sets. Raises ValueError."""
    for key, value in labels.items():
        check_label_key(key)
        if not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"label {key}: {value[:80]!r} is too long (63), or has others than letters, digits, - _ .")
    return labels


def check_label_key(key: str) -> str:
    """`key`, if it can be a label's and is not reserved. Raises ValueError."""
    prefix, slash, name = key.rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (slash and not _SUBDOMAIN.fullmatch(prefix)):
        raise ValueError(f"{key[:80]!r} cannot be a label's key; write for example team or example.com/team")
    if slash and any(prefix == own or prefix.endswith(f".{own}") for own in _RESERVED):
        raise ValueError(f"label {key}: the prefix {prefix!r} belongs to Kubernetes, Ray or this platform")
    return key


Image = Annotated[str, AfterValidator(check_image)]
ObjectName = Annotated[str, AfterValidator(check_object_name)]
Labels = Annotated[dict[str, Text], AfterValidator(check_labels)]


_PATTERN = r"^[a-z0-9*?\[\]-][a-z0-9.*?\[\]-]{0,252}$"
Pattern = Annotated[str, Field(pattern=_PATTERN)]
Patterns = Annotated[list[Pattern], Field(max_length=100)]
_PLACE = r"^[A-Za-z0-9.:*?_/-]{1,1024}$"
Places = Annotated[list[Annotated[str, Field(pattern=_PLACE)]], Field(max_length=100)]


class Allowed(Document):
    """The resources that experiments may name, by patterns (`aws-*`). The platform's own are never allowed."""

    secrets: Patterns = Field(default_factory=list)
    """Secrets, for variables and image registries."""
    claims: Patterns = Field(default_factory=list)
    """PersistentVolumeClaims, for volumes."""
    service_accounts: Patterns = Field(default_factory=list)
    """Service accounts, which give pods their permissions."""
    nfs: Places = Field(default_factory=list)
    """Directories of NFS servers, such as nfs.example.com:/exports/data*."""
    host_paths: Places = Field(default_factory=list)
    """Directories of the nodes, such as /var/data*."""


class SecretKey(Document):
    """A value in a Kubernetes Secret of the same namespace."""

    secret: ObjectName
    """The Secret's name."""
    key: str = Field(pattern=r"^[-._a-zA-Z0-9]{1,253}$")
    """The key in it."""


class SecretVariable(SecretKey):
    """An environment variable whose value never leaves its Secret."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The variable's name."""


class Toleration(Document):
    """A toleration, as in Kubernetes: lets pods run on nodes with a matching taint."""

    key: str | None = None
    """The taint's key; without one, all keys match."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal: the value must match; Exists: the key is enough."""
    value: str | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; without one, all effects match."""
    toleration_seconds: int | None = Field(default=None, ge=0, le=MAX_SECONDS)
    """How many seconds a pod stays on a node that gets a NoExecute taint."""


class Nfs(Document):
    """A directory of an NFS server."""

    server: str = Field(min_length=1, max_length=253, pattern=r"^\S+$")
    """The server's name or address."""
    path: str = Field(pattern=r"^/")
    """The exported directory."""


class NewClaim(Document):
    """A new volume for each pod, deleted with it (a generic ephemeral volume)."""

    size: str
    """The volume's size: 10Gi."""
    storage_class: ObjectName | None = None
    """The StorageClass; default: the cluster's default."""

    @field_validator("size")
    @classmethod
    def _amount(cls, value: str) -> str:
        parse_memory(value)
        return value


_OWN_PATHS = ("/etc/submarine", "/dev/shm", "/tmp/ray")  # noqa: S108 (in pods)


class Volume(Document):
    """A volume that is mounted in every pod: exactly one of `claim`, `newClaim`, `nfs` and `hostPath`."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$")
    """Lower-case letters, digits and '-'."""
    mount_path: str = Field(pattern=r"^/[^:\s]+$")
    """The path at which pods see it."""
    read_only: bool = False
    """Whether pods can only read it."""
    claim: ObjectName | None = None
    """The name of an existing PersistentVolumeClaim."""
    new_claim: NewClaim | None = None
    """A new volume for each pod."""
    nfs: Nfs | None = None
    """A directory of an NFS server."""
    host_path: str | None = Field(default=None, pattern=r"^/")
    """A directory of the node."""

    @model_validator(mode="after")
    def _one_source(self) -> Volume:
        given = [source for source in (self.claim, self.new_claim, self.nfs, self.host_path) if source is not None]
        if len(given) != 1:
            raise ValueError(f"volume {self.name}: give exactly one of claim, newClaim, nfs and hostPath")
        path = PurePosixPath(self.mount_path)
        taken = path == PurePosixPath("/") or any(path.is_relative_to(own) for own in _OWN_PATHS)
        if taken or self.name == "shm" or self.name.startswith("submarine"):
            raise ValueError(f"volume {self.name}: the name or mountPath is the platform's own; choose another")
        return self


class PodOptions(Document):
    """Settings of pods: where they run, and what they can use."""

    node_selector: dict[str, Text] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: list[Toleration] = Field(default_factory=list)
    """Taints of nodes that pods tolerate."""
    priority_class: ObjectName | None = None
    """The pods' PriorityClass."""
    service_account: ObjectName | None = None
    """The service account, which gives pods their permissions."""
    image_pull_secrets: list[ObjectName] = Field(default_factory=list)
    """Secrets with the credentials of image registries."""
    labels: Labels = Field(default_factory=dict)
    """Labels of the RayJob and its pods, such as team or cost centre."""
    annotations: dict[str, Text] = Field(default_factory=dict)
    """Annotations of the RayJob and its pods."""
    volumes: list[Volume] = Field(default_factory=list)
    """Volumes that are mounted in every pod."""
    secrets: list[SecretVariable] = Field(default_factory=list)
    """Environment variables whose values come from Secrets."""

    @model_validator(mode="after")
    def _distinct(self) -> PodOptions:
        names = [volume.name for volume in self.volumes]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"volumes: {double!r} is there twice")
        return self


class PodDeletion(Document):
    """When the pods of an ended experiment are deleted. The time counts from when its log was stored."""

    after_seconds: int = Field(default=0, ge=0, le=30 * 86_400)
    """The seconds after a success; 0 means at once."""
    failed_after_seconds: int | None = Field(default=None, ge=0, le=30 * 86_400)
    """The seconds after a failure, to inspect the pods; default: the same as afterSeconds."""

    def seconds(self, failed: bool) -> int:
        """How long the pods stay."""
        return self.failed_after_seconds if failed and self.failed_after_seconds is not None else self.after_seconds


class JobOptions(PodOptions):
    """Settings of an experiment's pods. They are added to the cluster's settings, and win over them."""

    queue: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    """The queue to wait in, if the cluster has a queueing system."""
    max_workers: int | None = Field(default=None, ge=1, le=10_000)
    """The largest number of workers that Ray's autoscaler may add, for scripts that use Ray themselves."""
    deletion: PodDeletion | None = None
    """When the pods are deleted."""

    @model_serializer(mode="plain")
    def _said(self) -> dict[str, object]:
        """What was said of pods, without the many fields that nobody has set."""
        return {
            to_camel(name): _ANYTHING.dump_python(value, mode="json", by_alias=True, exclude_defaults=True)
            for name, value in self
            if value != type(self).model_fields[name].get_default(call_default_factory=True)
        }

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The fields, for the OpenAPI document: `_said` leaves some out and adds none."""
        return handler(cast(CoreSchema, {key: value for key, value in core_schema.items() if key != "serialization"}))
