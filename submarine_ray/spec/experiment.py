"""The experiment, as Submarine's REST API spells it, with this platform's few optional additions.

Source: Submarine's "Experiment REST API"; additions are `cluster`, `maxRetries`, `queue`, `trainFunction` and
`code.url` with the sync modes `local`, `http` and `package`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from submarine_ray.spec.base import Document, Text, check_name, check_variables
from submarine_ray.spec.quantities import Resources, parse_resources, split_resources

MAX_REPLICAS = 10_000
MAX_RETRIES = 100
TAG_LENGTH = 128
MAX_TAGS = 64

FRAMEWORKS = ("PyTorch", "TensorFlow", "XGBoost", "Python", "Shell", "Ray")
_CANONICAL = {name.lower(): name for name in FRAMEWORKS} | {"standalone": "Python"}

ROLES: dict[str, tuple[str, ...]] = {
    "PyTorch": ("Master", "Worker"),
    "TensorFlow": ("Chief", "Master", "Worker", "Ps", "Evaluator"),
    "XGBoost": ("Master", "Worker"),
    "Python": ("Worker",),
    "Shell": ("Worker",),
    "Ray": ("Worker",),
}


def check_tag(value: str) -> str:
    """`value`, if it can be a tag. Raises ValueError."""
    if not value.strip() or len(value) > TAG_LENGTH or not value.isprintable():
        raise ValueError(f"{value[:80]!r} cannot be a tag: use 1 to {TAG_LENGTH} printable characters")
    return value


Tag = Annotated[Text, AfterValidator(check_tag)]
Variables = Annotated[dict[str, Text], AfterValidator(check_variables)]


class ExperimentMeta(Document):
    """Who the experiment is and what it runs."""

    experiment_id: str | None = None
    name: Annotated[str, AfterValidator(lambda v: check_name(v, "an experiment"))]
    namespace: str | None = "default"
    framework: str
    cmd: str | None = None
    env_vars: Variables = Field(default_factory=dict)
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)

    @field_validator("framework")
    @classmethod
    def _known_framework(cls, value: str) -> str:
        if value.lower() not in _CANONICAL:
            raise ValueError(f"unknown framework {value[:80]!r}; use one of {', '.join(FRAMEWORKS)} (any case)")
        return _CANONICAL[value.lower()]

    @field_validator("env_vars", "tags", mode="before")
    @classmethod
    def _absent(cls, value: Any, info: Any) -> Any:
        return ({} if info.field_name == "env_vars" else []) if value is None else value


class KernelSpec(Document):
    """Packages that the experiment needs."""

    name: str | None = None
    channels: list[str] | None = None
    conda_dependencies: list[str] | None = None
    pip_dependencies: list[str] | None = None

    @field_validator("pip_dependencies")
    @classmethod
    def _requirements(cls, value: list[str] | None) -> list[str] | None:
        for requirement in value or []:
            if requirement.startswith("-") or not requirement.strip() or "\n" in requirement:
                raise ValueError(f"{requirement!r} is not a package requirement; write for example 'pandas==2.2.3'")
        return value


class EnvironmentSpec(Document):
    """A stored environment by `name`, or an anonymous one (`image` or `dockerImage`, `kernelSpec`)."""

    name: str | None = None
    docker_image: str | None = None
    kernel_spec: KernelSpec | None = None
    description: str | None = None
    image: str | None = None

    @property
    def container_image(self) -> str | None:
        return self.image or self.docker_image


class TaskSpec(Document):
    """One role: how many replicas, of what size; `cmd`, `envVars` and `resources` override the experiment's."""

    replicas: int = Field(default=1, ge=1, le=MAX_REPLICAS)
    resources: str | None = None
    name: str | None = None
    image: str | None = None
    cmd: str | None = None
    env_vars: Variables | None = None
    resource_map: dict[str, str] | None = None

    @field_validator("resources")
    @classmethod
    def _quantities(cls, value: str | None) -> str | None:
        if value is not None:
            parse_resources(value)
        return value

    @model_validator(mode="after")
    def _fill_map(self) -> TaskSpec:
        self.resource_map = split_resources(self.resources) if self.resources is not None else {}
        return self

    @property
    def quantities(self) -> Resources:
        return parse_resources(self.resources or "")


class GitSpec(Document):
    """A git repository; `ref` may be a tag or a commit, and wins over `branch`."""

    url: str
    branch: str | None = "main"
    ref: str | None = None
    username: str | None = None
    password: str | None = None
    trust_certs: bool | None = None

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not re.match(r"(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:", value):
            raise ValueError(f"{value[:120]!r} is not a git URL; write for example https://host/team/project.git")
        return value

    @field_validator("branch", "ref")
    @classmethod
    def _reference(cls, value: str | None) -> str | None:
        if value and (value.startswith("-") or not re.fullmatch(r"[\w./@+-]+", value)):
            raise ValueError(f"{value[:80]!r} is not a branch, tag or commit")
        return value or None


SyncMode = Literal["git", "s3", "hdfs", "nfs", "local", "http", "package"]
PACKAGE_URL = re.compile(r"package://([0-9a-f]{64})")


class CodeSpec(Document):
    """Where the code comes from; it is copied into each replica's working directory."""

    sync_mode: SyncMode = "git"
    git: GitSpec | None = None
    url: str | None = None
    branch: str | None = None
    ref: str | None = None

    @model_validator(mode="after")
    def _place(self) -> CodeSpec:
        if self.sync_mode == "git":
            if self.git is None:
                if not self.url:
                    raise ValueError("git needs git.url (or url): the repository to clone")
                self.git = GitSpec(url=self.url, branch=self.branch or "main", ref=self.ref)
        elif not self.url:
            raise ValueError(f"syncMode {self.sync_mode} needs url: what to copy")
        elif self.sync_mode == "package" and not PACKAGE_URL.fullmatch(self.url):
            raise ValueError("a package's url is package://<sha256 of the uploaded zip>")
        elif self.sync_mode == "http" and not re.match(r"https?://", self.url):
            raise ValueError(f"{self.url[:120]!r} is not an http or https URL")
        return self


class ExperimentSpec(Document):
    """What a user asks for. See docs/experiments.md for each field with an example."""

    meta: ExperimentMeta
    environment: EnvironmentSpec | None = None
    spec: dict[str, TaskSpec] = Field(min_length=1)
    experiment_handler_spec: dict[str, str] | None = None
    code: CodeSpec | None = None
    cluster: str | None = None
    max_retries: int | None = Field(default=None, ge=0, le=MAX_RETRIES)
    queue: bool | None = None
    train_function: bool | None = None

    @model_validator(mode="after")
    def _roles(self) -> ExperimentSpec:
        allowed = {role.lower(): role for role in ROLES[self.meta.framework]}
        roles: dict[str, TaskSpec] = {}
        for role, task in self.spec.items():
            canonical = allowed.get(role.lower())
            if canonical is None:
                raise ValueError(
                    f"spec.{role[:80]}: {self.meta.framework} has no such role; use {', '.join(allowed.values())}"
                )
            if canonical in roles:
                raise ValueError(f"spec.{role}: the role is given twice")
            if not (task.cmd or self.meta.cmd or self.train_function):
                raise ValueError(f"spec.{role}.cmd: there is no command; set meta.cmd, or cmd for this role")
            roles[canonical] = task
        for single in ("Master", "Chief"):
            if single in roles and roles[single].replicas != 1:
                raise ValueError(f"spec.{single}.replicas: there can be only one {single}")
        if "Chief" in roles and "Master" in roles:
            raise ValueError("spec.Master: Chief and Master are the same role; use one of them")
        if self.train_function and not (self.code and self.code.sync_mode == "package"):
            raise ValueError("code: trainFunction needs the uploaded package that holds the function")
        if self.train_function and set(roles) != {"Worker"}:
            raise ValueError("spec: a train function has one role, Worker")
        if self.meta.framework == "Ray" and roles["Worker"].replicas != 1:
            raise ValueError("spec.Worker.replicas: a Ray script is one driver that uses the cluster itself; use 1")
        self.spec = roles
        return self

    @property
    def demand(self) -> Resources:
        """What all replicas ask for together."""
        return sum((task.quantities.times(task.replicas) for task in self.spec.values()), Resources())

    def answer(self) -> dict[str, Any]:
        """The document as answers show it: every contract field, additions only where set, secrets hidden."""
        document = self.model_dump(by_alias=True, mode="json")
        for addition in ("experimentHandlerSpec", "cluster", "maxRetries", "queue", "trainFunction"):
            if document[addition] is None:
                del document[addition]
        if self.code and self.code.git and self.code.git.password:
            document["code"]["git"]["password"] = "**********"  # noqa: S105 (a mask, not a secret)
        if self.code is not None:
            document["code"] = {k: v for k, v in document["code"].items() if v is not None}
        return document


class ExperimentStatus:
    """The states of an experiment, in the order it passes them."""

    ACCEPTED = "Accepted"
    CREATED = "Created"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DELETED = "Deleted"
    ALL = (ACCEPTED, CREATED, RUNNING, SUCCEEDED, FAILED, DELETED)
    ENDED = frozenset({SUCCEEDED, FAILED, DELETED})


def documented(document: dict[str, Any]) -> dict[str, Any]:
    """An experiment's spec that may hold placeholders, with every documented field, null where it is not given."""
    meta = {"experimentId": None, "name": None, "namespace": "default", "framework": None, "cmd": None}
    shown: dict[str, Any] = {"meta": {**meta, "envVars": {}, "tags": [], **(document.get("meta") or {})}}
    environment = document.get("environment")
    empty = dict.fromkeys(("name", "dockerImage", "kernelSpec", "description", "image"))
    shown["environment"] = None if environment is None else {**empty, **environment}
    shown["spec"] = {role: _documented_task(task) for role, task in (document.get("spec") or {}).items()}
    shown["code"] = document.get("code")
    return shown | {key: value for key, value in document.items() if key not in shown and value is not None}


def _documented_task(task: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("replicas", "resources", "name", "image", "cmd", "envVars"))
    try:
        sizes = split_resources(str(task.get("resources") or ""))
    except ValueError:  # a placeholder
        sizes = {}
    return {**empty, "replicas": 1, **task, "resourceMap": sizes}
