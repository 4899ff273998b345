"""The rules of templates, and experiments made from them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import structlog

from submarine_ray.access.tombstones import bury
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, Conflict, InvalidSpec, NotFound, SecretLost
from submarine_ray.core.masking import restored, shown
from submarine_ray.core.paging import Cursor, split
from submarine_ray.core.sealed import Kept
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.spec import masks
from submarine_ray.spec.answers.base import Attributes
from submarine_ray.spec.answers.experiments import Experiment
from submarine_ray.spec.answers.templates import StoredTemplate, Template, TemplateId
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.experiment import SHOWN, ExperimentSpec, documented
from submarine_ray.spec.templates import TemplateParameter, TemplateSpec, TemplateSubmission
from submarine_ray.templates import rendering, repository
from submarine_ray.templates.tables import TemplateRow

log = structlog.get_logger(__name__)


class TemplateService:
    """Creates, shows, changes and deletes templates, and submits them."""

    def __init__(self, database: Database, experiments: ExperimentService) -> None:
        self._database = database
        self._experiments = experiments

    def load_library(self, specs: Sequence[TemplateSpec]) -> None:
        """Store what comes with the platform, and drop what no longer does. A user's own template keeps its name."""
        for spec in specs:
            rendering.check(spec)
            with contextlib.suppress(AlreadyExists):  # another control service starts too, with the same library
                self._store(spec)
        with self._database.session(write=True) as session:
            for name in repository.library_names(session) - {spec.name for spec in specs}:
                repository.remove(session, name)

    def _store(self, spec: TemplateSpec) -> None:
        with self._database.session(write=True) as session:
            row = repository.find(session, spec.name, lock=True)
            if row is None:
                now = now_ms()
                row = TemplateRow(name=spec.name, spec=_kept(spec), created_ms=now, changed_ms=now, library=True)
                repository.add(session, row)
            elif not row.library:
                log.warning("library.name_taken", template=spec.name)
            elif not _is_same(row, spec):
                row.spec, row.changed_ms = _kept(spec), now_ms()

    def create(self, spec: TemplateSpec) -> Template:
        """Raises AlreadyExists, InvalidSpec for one that no values could make an experiment of."""
        spec = self._complete(restored(spec))
        row = TemplateRow(name=spec.name, spec=_kept(spec), created_ms=now_ms(), changed_ms=now_ms())
        with self._database.session(write=True) as session:
            repository.add(session, row)
        return _answer(row)

    def get(self, name: str) -> Template:
        with self._database.session() as session:
            return _answer(_found(repository.find(session, name), name))

    def names(self) -> list[str]:
        with self._database.session() as session:
            return repository.names(session)

    def spec(self, name: str) -> TemplateSpec:
        """As it was asked for, secrets in clear. Raises NotFound."""
        with self._database.session() as session:
            return _spec(_found(repository.find(session, name), name))

    def list_page(self, limit: int | None, cursor: str | None) -> tuple[list[Template], Attributes]:
        """Templates, oldest first: all of them, or a page; and the answer's attributes."""
        last = Cursor.parse(cursor)
        with self._database.session() as session:
            rows = repository.page(session, limit, last.ms if last else 0)
        page, attributes = split(rows, limit, lambda row: Cursor(row.id, row.name))
        return [_answer(row) for row in page], attributes

    def patch(self, name: str, spec: TemplateSpec) -> Template:
        """Put a new spec in place of the stored one. Raises NotFound, InvalidSpec for a rename,
        Conflict for the library's.
        """
        if spec.name != name:
            raise InvalidSpec(f"a template cannot be renamed; create {spec.name!r} instead", "name")
        spec = self._complete(restored(spec, lambda: self.spec(name)))
        with self._database.session(write=True) as session:
            row = _own(repository.find(session, name, lock=True), name)
            row.spec, row.changed_ms = _kept(spec), now_ms()
        return _answer(row)

    def delete(self, name: str) -> Template:
        """Experiments made from it stay. Raises NotFound, Conflict for the library's."""
        with self._database.session(write=True) as session:
            row = _own(repository.find(session, name, lock=True), name)
            repository.remove(session, name)
            bury(session, DeletedKind.TEMPLATE, name)
        return _answer(row)

    def _complete(self, spec: TemplateSpec) -> TemplateSpec:
        """With its base as that is now: a later change or deletion of the base changes nothing here."""
        if spec.base:
            with self._database.session() as session:
                row = repository.find(session, spec.base)
            if row is None or spec.base == spec.name:
                raise InvalidSpec(f"there is no other template {spec.base!r} to begin with", "base")
            spec = rendering.expanded(_spec(row), spec)
        rendering.check(spec)
        return spec

    def preview(self, name: str, submission: TemplateSubmission) -> ExperimentSpec:
        """The experiment that `submit` would create, with masks for its secrets. Raises NotFound, InvalidSpec."""
        spec = rendering.render(self.spec(name), submission.params)
        return shown(ExperimentSpec, spec.model_dump_json(by_alias=True), SHOWN)

    def submit(self, name: str, submission: TemplateSubmission) -> Experiment:
        """Create an experiment from a template. Raises NotFound, InvalidSpec."""
        with self._database.session() as session:
            row = _found(repository.find(session, name), name)
        return self._experiments.create(rendering.render(_spec(row), submission.params))


def _spec(row: TemplateRow) -> TemplateSpec:
    return TemplateSpec.model_validate_json(row.spec.text)


def _kept(spec: TemplateSpec) -> Kept:
    return Kept(spec.model_dump_json(by_alias=True))


def _is_same(row: TemplateRow, spec: TemplateSpec) -> bool:
    try:
        return row.spec.text == _kept(spec).text
    except SecretLost:  # the library's own is written anew
        return False


def _answer(row: TemplateRow) -> Template:
    try:
        spec = _spec(row)
    except SecretLost as failure:
        return _described(row, TemplateSpec(name=row.name, description=str(failure), experiment_spec={"spec": {}}), [])
    return _described(row, spec, rendering.with_implicit(spec))


def _described(row: TemplateRow, spec: TemplateSpec, parameters: Sequence[TemplateParameter]) -> Template:
    document = spec.model_dump(by_alias=True, exclude={"parameters", "experiment_spec"}) | {
        "parameters": [one.model_dump(by_alias=True) for one in parameters],
        "experimentSpec": documented(spec.experiment_spec),
        "readOnly": row.library,
    }
    return Template(
        experiment_template_id=TemplateId(id=row.id, server_timestamp=row.created_ms),
        experiment_template_spec=StoredTemplate.model_validate(masks.masked(document)),
    )


def _own(row: TemplateRow | None, name: str) -> TemplateRow:
    found = _found(row, name)
    if found.library:
        raise Conflict(
            f"{name!r} comes with the platform and stays as it is; create one of your own under another name."
        )
    return found


def _found(row: TemplateRow | None, name: str) -> TemplateRow:
    if row is None:
        raise NotFound(f"ExperimentTemplate not found. There is none named {name[:80]!r}.")
    return row
