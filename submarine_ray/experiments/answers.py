"""What an experiment's row means: the answers made from it, and the documents kept in it."""

from __future__ import annotations

from pydantic import ValidationError

from submarine_ray.core.clock import iso
from submarine_ray.core.errors import Conflict, SecretLost
from submarine_ray.core.events import Event
from submarine_ray.core.masking import shown
from submarine_ray.core.sealed import Kept
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec import masks
from submarine_ray.spec.answers.experiments import Attempt, Experiment, ExperimentSummary
from submarine_ray.spec.base import unchecked
from submarine_ray.spec.experiment import SHOWN, STORED, EnvironmentSpec, ExperimentSpec
from submarine_ray.spec.plan import plan_replicas
from submarine_ray.spec.problems import sentence


def whole(row: ExperimentRow) -> Experiment:
    """An experiment as the document that Submarine's API answers with."""
    # Not checked once more: a spec that this version refuses would hide all others of a list.
    return Experiment.model_construct(
        experiment_id=row.id,
        uid=row.uid,
        status=row.status,
        accepted_time=iso(row.accepted_ms),
        created_time=iso(row.created_ms),
        running_time=iso(row.running_ms),
        finished_time=iso(row.finished_ms),
        spec=_shown(row),
        reason=row.reason,
        message=row.message,
        attempt=row.attempt,
        cluster=row.cluster,
        run_id=row.run_id,
    )


def summary(row: ExperimentRow, tags: list[str]) -> ExperimentSummary:
    """An experiment as a row of a table, made without its spec."""
    return ExperimentSummary(
        experiment_id=row.id,
        name=row.name,
        owner=row.owner,
        framework=row.framework,
        cluster=row.cluster,
        tags=tags,
        status=row.status,
        reason=row.reason,
        message=row.message,
        accepted_time=iso(row.accepted_ms),
        running_time=iso(row.running_ms),
        finished_time=iso(row.finished_ms),
    )


def attempt(row: ExperimentRow | AttemptRow) -> Attempt:
    """One attempt of an experiment, be it the current one or one that another has followed."""
    return Attempt.model_construct(
        attempt=row.attempt,
        status=row.status,
        reason=row.reason,
        message=row.message,
        created_time=iso(row.created_ms),
        running_time=iso(row.running_ms),
        finished_time=iso(row.finished_ms),
        run_id=row.run_id,
        spec=_shown(row),
    )


def _shown(row: ExperimentRow | AttemptRow) -> ExperimentSpec:
    try:
        spec = shown(ExperimentSpec, row.spec.text, SHOWN)
        spec.meta.experiment_id = row.id
    except (SecretLost, ValueError, AttributeError):  # its key is gone, or it is no document: what other columns tell
        meta: dict[str, str | None] = {"name": row.id}
        if isinstance(row, ExperimentRow):
            meta = {"name": row.name, "owner": row.owner, "framework": row.framework}
        spec = unchecked(ExperimentSpec, {"meta": meta, "spec": {}})
        spec.meta.experiment_id = row.id
    return spec


def stored_spec(row: ExperimentRow | AttemptRow) -> ExperimentSpec:
    """The spec as it was accepted. Raises Conflict if this version's rules, stricter than those of then, refuse it;
    SecretLost.
    """
    try:
        return ExperimentSpec.model_validate_json(row.spec.text, context=STORED)
    except ValidationError as failure:
        raise _refused(row, "a spec", failure) from failure


def _refused(row: ExperimentRow | AttemptRow, what: str, failure: ValidationError) -> Conflict:
    why = sentence(failure.errors()[0])
    return Conflict(
        f"Experiment {row.id} was accepted with {what} that this version refuses ({why}). "
        "Patch it with one that is right, or delete it."
    )


def kept(spec: ExperimentSpec | EnvironmentSpec) -> Kept:
    """A document as a row stores it."""
    return Kept(spec.model_dump_json(by_alias=True, exclude_none=True))


def stored_environment(row: ExperimentRow) -> EnvironmentSpec | None:
    """The environment of the experiment as it was when the experiment was accepted. Raises Conflict, SecretLost, as
    `stored_spec`.
    """
    if row.environment is None:
        return None
    try:
        return EnvironmentSpec.model_validate_json(row.environment.text, context=STORED)
    except ValidationError as failure:
        raise _refused(row, "an environment", failure) from failure


def told_of_packages(environment: EnvironmentSpec | None) -> list[Event]:
    """Events that warn of passwords in the addresses of packages: Ray writes these into its record of the job."""
    kernel = environment.kernel_spec if environment else None
    listed = [*(kernel.pip_dependencies or ()), *(kernel.conda_dependencies or ())] if kernel else []
    signed = [masks.text(one) for one in listed if masks.text(one) != one]
    why = "is in Ray's record of the job, and its cluster's users can read it; use an index that asks for none"
    return [Event("PasswordInPackage", f"The password in {one!r} {why}.") for one in signed]


def replica_names(row: ExperimentRow | AttemptRow) -> list[str]:
    """The names of the replicas that write to the log; none for a sweep, or a spec that cannot be read."""
    try:
        spec = stored_spec(row)
    except (Conflict, SecretLost):  # its log still has who wrote it
        return []
    return [] if spec.tune else sorted(replica.name for replica in plan_replicas(spec))
