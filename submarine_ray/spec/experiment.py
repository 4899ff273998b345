"""The experiment, as Submarine's REST API spells it, with this platform's few optional additions.

Source: Submarine's "Experiment REST API"; additions are `cluster`, `placement`, `kubernetes`, `timeout`, `maxRetries`,
`gracePeriod`, `queue`, `trainFunction`, `tune`, `meta.owner`, `meta.team`, `meta.notes` and `code.url` with the sync
modes `local`, `http` and `package`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from submarine_ray.spec import commands, space, without_shell
from submarine_ray.spec.base import Document, Text, check_name, is_none
from submarine_ray.spec.clusters import Placement
from submarine_ray.spec.code import CodeSpec
from submarine_ray.spec.json_types import JsonObject, object_in
from submarine_ray.spec.kubernetes import JobOptions
from submarine_ray.spec.launch import GRACE_SECONDS
from submarine_ray.spec.quantities import Quantities, Resources, parse_resources, split_resources
from submarine_ray.spec.requirements import check_requirements
from submarine_ray.spec.tune import TuneSpec
from submarine_ray.spec.variables import HasVariables, Variables

MAX_REPLICAS = 10_000
MAX_RETRIES = 100
MAX_TIMEOUT = 365 * 86_400
MAX_GRACE = 3_600
# As context of a validation: what was accepted once is read back, whatever is asked of new specs.
STORED = {"stored": True}
# Of what is only shown, in which masks stand for secrets.
SHOWN = {**STORED, "shown": True}
# A sweep that was lost resumes where it was, and that costs nothing that was paid for already.
SWEEP_RETRIES = 3
NOTES_LENGTH = 20_000
TAG_LENGTH = 256
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


class ExperimentMeta(HasVariables):
    """The experiment's name, framework and command."""

    experiment_id: str | None = None
    """The experiment's id, in answers only. Ignored in requests."""
    name: Annotated[str, AfterValidator(lambda v: check_name(v, "an experiment"))]
    """1 to 63 letters, digits, `-`, `_` or `.`. Names need not be unique."""
    namespace: Text | None = "default"
    """Stored for compatibility with Submarine; lists show all namespaces."""
    framework: str
    """PyTorch, TensorFlow, XGBoost, Python, Shell or Ray; decides how replicas find each other."""
    cmd: str | None = None
    """The command of every replica. It runs without a shell; `$(NAME)` is replaced by that variable."""
    env_vars: Variables = Field(default_factory=dict)
    """Environment variables of every replica: each a value, or {value: ..., secret: true}."""
    tags: list[Tag] = Field(default_factory=list, max_length=MAX_TAGS)
    """Words to filter experiments by."""
    owner: Text | None = Field(default=None, exclude_if=is_none, max_length=63)
    """The owner's name; also a label on the experiment's pods."""
    team: Text | None = Field(default=None, exclude_if=is_none, max_length=63)
    """The team's name; also a label on the experiment's pods."""
    notes: Text | None = Field(default=None, exclude_if=is_none, max_length=NOTES_LENGTH)
    """Free text, such as the purpose and the outcome."""

    @field_validator("framework")
    @classmethod
    def _known_framework(cls, value: str) -> str:
        if value.lower() not in _CANONICAL:
            raise ValueError(f"unknown framework {value[:80]!r}; use one of {', '.join(FRAMEWORKS)} (any case)")
        return _CANONICAL[value.lower()]

    @field_validator("env_vars", "tags", mode="before")
    @classmethod
    def _absent(cls, value: object, info: ValidationInfo) -> object:
        return ({} if info.field_name == "env_vars" else []) if value is None else value


class KernelSpec(Document):
    """The packages of an environment."""

    name: str | None = None
    """The environment's name in Jupyter. Stored, but not used."""
    channels: list[str] | None = None
    """Conda channels."""
    conda_dependencies: list[str] | None = None
    """Conda packages; installed on clusters that have conda."""
    pip_dependencies: list[str] | None = None
    """Python packages in pip's syntax; installed before the command starts."""

    @field_validator("pip_dependencies")
    @classmethod
    def _requirements(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if info.context not in (STORED, SHOWN):
            check_requirements(value or ())
        return value


class EnvironmentSpec(Document):
    """A stored environment by `name`, or one defined here by `image` (or `dockerImage`) and `kernelSpec`."""

    name: str | None = None
    """The name of a stored environment. Its settings replace all the others."""
    docker_image: str | None = None
    """The container image; used by clusters that run containers."""
    kernel_spec: KernelSpec | None = None
    """Packages to install."""
    description: str | None = None
    """A free-text description."""
    image: str | None = None
    """Another spelling of `dockerImage`."""

    @property
    def container_image(self) -> str | None:
        return self.image or self.docker_image


class TaskSpec(HasVariables):
    """A role: the number of replicas, their resources, and overrides of the experiment's settings."""

    replicas: int = Field(default=1, ge=1, le=MAX_REPLICAS)
    """The number of processes."""
    resources: Quantities | None = None
    """The resources of each process: `cpu=2,memory=4Gi,nvidia.com/gpu=1`. Each part is optional."""
    name: str | None = None
    """Stored for compatibility with Submarine; not used."""
    image: str | None = None
    """Replaces the environment's image in this role."""
    cmd: str | None = None
    """Replaces the experiment's command in this role."""
    env_vars: Variables | None = None
    """Environment variables of this role; they are added to the experiment's, and win over them."""
    resource_map: dict[str, str] | None = None
    """In answers only: `resources` as a map."""

    @model_validator(mode="after")
    def _fill_map(self) -> TaskSpec:
        self.resource_map = split_resources(self.resources) if self.resources is not None else {}
        return self

    @property
    def quantities(self) -> Resources:
        return parse_resources(self.resources or "")


class ExperimentSpec(Document):
    """The experiment to run. docs/experiments.md describes each field with an example."""

    meta: ExperimentMeta
    """The name, framework, command and environment variables."""
    environment: EnvironmentSpec | None = None
    """The container image and packages."""
    spec: dict[str, TaskSpec] = Field(min_length=1)
    """The roles by name: Master, Worker, Ps, Chief or Evaluator, depending on the framework."""
    experiment_handler_spec: dict[str, str] | None = Field(default=None, exclude_if=is_none)
    """Submarine's pre-handlers. Stored, but not run."""
    code: CodeSpec | None = None
    """The code to copy into each replica's working directory."""
    cluster: str | None = Field(default=None, exclude_if=is_none)
    """The cluster to run on; default: the service's default cluster, usually `local`."""
    placement: Placement | None = Field(default=None, exclude_if=is_none)
    """Lets the platform choose a cluster; use it instead of `cluster`."""
    kubernetes: JobOptions | None = Field(default=None, exclude_if=is_none)
    """Settings of the pods; only for clusters on Kubernetes."""
    timeout: int | None = Field(default=None, exclude_if=is_none, ge=1, le=MAX_TIMEOUT)
    """The longest duration of an attempt in seconds. After it, the attempt is stopped and counts as failed."""
    grace_period: int | None = Field(default=None, exclude_if=is_none, ge=0, le=MAX_GRACE)
    """When stopped: the seconds between SIGTERM and SIGKILL; default 30."""
    max_retries: int | None = Field(default=None, exclude_if=is_none, ge=0, le=MAX_RETRIES)
    """The number of new attempts after a failed or lost one."""
    queue: bool | None = Field(default=None, exclude_if=is_none)
    """If the cluster is too small now: wait for it to grow, instead of being refused."""
    train_function: bool | None = Field(default=None, exclude_if=is_none)
    """The uploaded package contains a function for Ray Train instead of a command."""
    tune: TuneSpec | None = Field(default=None, exclude_if=is_none)
    """Turns the experiment into a sweep: many trials, each with its own parameters. See docs/tuning.md."""

    @model_validator(mode="after")
    def _roles(self, info: ValidationInfo) -> ExperimentSpec:
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
        if self.cluster and self.placement:
            raise ValueError("placement: the cluster is named already; give one of the two")
        if "Chief" in roles and "Master" in roles:
            raise ValueError("spec.Master: Chief and Master are the same role; use one of them")
        if self.train_function and not (self.code and self.code.sync_mode == "package"):
            raise ValueError("code: trainFunction needs the uploaded package that holds the function")
        if self.train_function and set(roles) != {"Worker"}:
            raise ValueError("spec: a train function has one role, Worker")
        if self.meta.framework == "Ray" and roles["Worker"].replicas != 1:
            raise ValueError("spec.Worker.replicas: a Ray script is one driver that uses the cluster itself; use 1")
        self.spec = roles
        if self.tune and info.context != SHOWN:
            self._check_sweep(self.tune)
        return self

    @model_validator(mode="after")
    def _commands(self, info: ValidationInfo) -> ExperimentSpec:
        """Refuse what only a shell could run, where none does."""
        if info.context in (STORED, SHOWN):
            return self
        for where, command in self._unshelled():
            try:
                without_shell.refuse(command)
            except ValueError as failure:
                raise ValueError(f"{where}: {failure}") from failure
        return self

    def _unshelled(self) -> list[tuple[str, str]]:
        """The commands that no shell runs, and where each stands."""
        if self.meta.framework == "Shell" or self.train_function:
            return []
        own = [(f"spec.{role}.cmd", task.cmd) for role, task in self.spec.items() if task.cmd]
        shared = [("meta.cmd", self.meta.cmd)] if self.meta.cmd and len(own) < len(self.spec) else []
        return shared + own

    @property
    def command_warnings(self) -> list[str]:
        """What of its commands a shell would treat otherwise."""
        return list(dict.fromkeys(filter(None, (without_shell.warning(command) for _, command in self._unshelled()))))

    @property
    def grace(self) -> int:
        """Seconds between SIGTERM and SIGKILL."""
        return GRACE_SECONDS if self.grace_period is None else self.grace_period

    def _check_sweep(self, tune: TuneSpec) -> None:
        (first, *others) = self.spec.values()
        if tune.resources_per_trial and (others or first.replicas > 1):
            raise ValueError("tune.resourcesPerTrial: a trial has several replicas; give each role its resources")
        if not others and first.replicas == 1:
            asked = tune.resources_per_trial or first.resources or "cpu=1"
            first.resources, first.resource_map = asked, split_resources(asked)
        if self.train_function:
            return
        self._check_command("meta.cmd", self.meta.cmd or "")
        for role, task in self.spec.items():
            self._check_command(f"spec.{role}.cmd", task.cmd or "")
        known = space.names(tune.search_space)
        used = space.used(self._texts())
        above, needed = space.above(known), space.above(used)
        if unknown := sorted(used - above):
            raise ValueError(
                f"tune.searchSpace: a command or variable asks for {{{{{unknown[0]}}}}}, and there is no parameter of "
                f"that name; there are {', '.join(sorted(known))}"
            )
        for name, _ in space.domains(tune.search_space):
            if name not in needed and not space.above([name]) & used:
                hint = f"write {{{{{name}}}}} where its value goes"
                raise ValueError(f"tune.searchSpace.{name}: no command or variable uses it; {hint}")

    def _check_command(self, where: str, command: str) -> None:
        """Whether each trial's values can be put into it."""
        try:
            commands.fill(command, self.meta.framework == "Shell", space.PLACEHOLDER, lambda name: "1")
        except ValueError as failure:
            raise ValueError(f"{where}: cannot be filled in: {failure}") from failure

    def _texts(self) -> list[str]:
        """Where placeholders of the search space may stand."""
        tasks = self.spec.values()
        found = [self.meta.cmd, *self.meta.env_vars.values(), *(task.cmd for task in tasks)]
        return [text for text in found if text] + [v for task in tasks for v in (task.env_vars or {}).values()]

    @property
    def retries(self) -> int:
        """How many new attempts follow a failed or lost one."""
        return (SWEEP_RETRIES if self.tune else 0) if self.max_retries is None else self.max_retries

    @property
    def demand(self) -> Resources:
        """What all replicas ask for together; of a sweep, those of one trial."""
        return sum((task.quantities.times(task.replicas) for task in self.spec.values()), Resources())


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
    STOPPED = "Stopped"
    """The `reason` of a Failed one that was stopped: Submarine has no status for it, and people see it by itself."""
    SEEN = (ACCEPTED, CREATED, RUNNING, SUCCEEDED, FAILED, STOPPED)

    @classmethod
    def seen(cls, status: str, reason: str | None) -> str:
        """The state of an experiment as people see it: its status, but Stopped for what was stopped."""
        return cls.STOPPED if status == cls.FAILED and reason == cls.STOPPED else status

    @classmethod
    def seen_of(cls, experiment: Mapping[str, object]) -> str:
        """The same of an experiment as the SDK has it, in JSON."""
        reason = experiment.get("reason")
        return cls.seen(str(experiment["status"]), reason if isinstance(reason, str) else None)


def documented(document: JsonObject) -> JsonObject:
    """An experiment's spec that may hold placeholders, with every documented field, null where it is not given."""
    meta: JsonObject = {"experimentId": None, "name": None, "namespace": "default", "framework": None, "cmd": None}
    empty: JsonObject = dict.fromkeys(("name", "dockerImage", "kernelSpec", "description", "image"))
    environment = document.get("environment")
    roles = object_in(document.get("spec"))
    shown: JsonObject = {
        "meta": {**meta, "envVars": {}, "tags": [], **object_in(document.get("meta"))},
        "environment": {**empty, **environment} if isinstance(environment, dict) else environment,
        "spec": {role: _documented_task(object_in(task)) for role, task in roles.items()},
        "code": document.get("code"),
    }
    return shown | {key: value for key, value in document.items() if key not in shown and value is not None}


def _documented_task(task: JsonObject) -> JsonObject:
    empty: JsonObject = dict.fromkeys(("replicas", "resources", "name", "image", "cmd", "envVars"))
    try:
        sizes = split_resources(str(task.get("resources") or ""))
    except ValueError:  # a placeholder
        sizes = {}
    return {**empty, "replicas": 1, **task, "resourceMap": {**sizes}}
