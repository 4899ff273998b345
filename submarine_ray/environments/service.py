"""The rules of environments."""

from __future__ import annotations

from submarine_ray.access.tombstones import bury
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import InvalidSpec, NotFound, SecretLost
from submarine_ray.core.ids import IdFactory
from submarine_ray.core.masking import restored, shown
from submarine_ray.core.paging import Cursor, split
from submarine_ray.core.sealed import Kept
from submarine_ray.environments import repository
from submarine_ray.environments.tables import EnvironmentRow
from submarine_ray.spec.answers.base import Attributes
from submarine_ray.spec.answers.environments import Environment
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.environments import EnvironmentPatch, NewEnvironment
from submarine_ray.spec.experiment import STORED, EnvironmentSpec, KernelSpec


class EnvironmentService:
    """Creates, shows, changes and deletes environments."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = IdFactory("environment", "_")

    def create(self, spec: NewEnvironment) -> Environment:
        """Raises AlreadyExists, InvalidSpec."""
        kept = _kept(restored(spec))
        row = EnvironmentRow(name=spec.name, id=self._ids.next(), spec=kept, created_ms=now_ms(), changed_ms=now_ms())
        with self._database.session(write=True) as session:
            repository.add(session, row)
        return _answer(row)

    def get(self, name: str) -> Environment:
        with self._database.session() as session:
            return _answer(_found(repository.find(session, name), name))

    def names(self) -> list[str]:
        with self._database.session() as session:
            return repository.names(session)

    def spec(self, name: str) -> EnvironmentSpec:
        """As it was asked for, secrets in clear. Raises NotFound."""
        with self._database.session() as session:
            return _spec(_found(repository.find(session, name), name))

    def list_page(self, limit: int | None, cursor: str | None) -> tuple[list[Environment], Attributes]:
        """Environments, oldest first: all of them, or a page; and the answer's attributes."""
        with self._database.session() as session:
            rows = repository.page(session, limit, Cursor.parse(cursor))
        page, attributes = split(rows, limit, lambda row: Cursor(row.created_ms, row.id))
        return [_answer(row) for row in page], attributes

    def patch(self, name: str, patch: EnvironmentPatch) -> Environment:
        """Change what the patch names. Raises NotFound, InvalidSpec for a rename."""
        if patch.name not in (None, name):
            raise InvalidSpec(f"an environment cannot be renamed; create {patch.name[:80]!r} instead", "name")
        with self._database.session(write=True) as session:
            row = _found(repository.find(session, name, lock=True), name)
            before = _spec(row)
            row.spec = _kept(restored(_merged(before, patch), lambda: before))
            row.changed_ms = now_ms()
        return _answer(row)

    def delete(self, name: str) -> Environment:
        """What runs in it goes on: it has its own copy. Raises NotFound."""
        with self._database.session(write=True) as session:
            row = _found(repository.find(session, name, lock=True), name)
            repository.remove(session, name)
            bury(session, DeletedKind.ENVIRONMENT, name)
        return _answer(row)

    def resolve(self, asked: EnvironmentSpec | None) -> EnvironmentSpec | None:
        """What an experiment asked for, with a stored environment in place of its name. Raises InvalidSpec."""
        if asked is None or not asked.name:
            return asked
        with self._database.session() as session:
            row = repository.find(session, asked.name)
        if row is None:
            raise InvalidSpec(
                f"there is no environment {asked.name[:80]!r}; `GET /api/v1/environment` lists them, "
                "or describe one here with image or kernelSpec",
                "environment.name",
            )
        return _spec(row)


def _merged(spec: EnvironmentSpec, patch: EnvironmentPatch) -> EnvironmentSpec:
    changes = {field: getattr(patch, field) for field in patch.model_fields_set - {"name", "kernel_spec"}}
    if "kernel_spec" in patch.model_fields_set:
        changes["kernel_spec"] = patch.kernel_spec
        if patch.kernel_spec is not None:
            named = {field: getattr(patch.kernel_spec, field) for field in patch.kernel_spec.model_fields_set}
            changes["kernel_spec"] = (spec.kernel_spec or KernelSpec()).model_copy(update=named)
    return spec.model_copy(update=changes)


def _spec(row: EnvironmentRow) -> EnvironmentSpec:
    return EnvironmentSpec.model_validate_json(row.spec.text, context=STORED)


def _kept(spec: EnvironmentSpec) -> Kept:
    return Kept(spec.model_dump_json(by_alias=True, exclude_none=True))


def _answer(row: EnvironmentRow) -> Environment:
    try:
        spec = shown(EnvironmentSpec, row.spec.text)
    except SecretLost as failure:
        spec = EnvironmentSpec(name=row.name, description=str(failure))
    return Environment(environment_id=row.id, environment_spec=spec)


def _found(row: EnvironmentRow | None, name: str) -> EnvironmentRow:
    if row is None:
        raise NotFound(f"Environment not found. There is none named {name[:80]!r}.")
    return row
