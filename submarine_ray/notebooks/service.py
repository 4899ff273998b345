"""The rules of notebooks: which requests are valid, and what they change. Only the engine writes observed state."""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.tombstones import bury
from submarine_ray.admission.explain import Holder
from submarine_ray.admission.rows import Line
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core import events
from submarine_ray.core.clock import due_ms, iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import Conflict, NotFound, SecretLost
from submarine_ray.core.events import Event
from submarine_ray.core.ids import IdFactory
from submarine_ray.core.masking import restored, shown
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.paging import Cursor, split
from submarine_ray.core.sealed import Kept
from submarine_ray.core.secrets import SecretBox
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.notebooks import repository
from submarine_ray.notebooks.decide import IS_CREATING
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.answers.base import Attributes
from submarine_ray.spec.answers.events import Event as HistoryEvent
from submarine_ray.spec.answers.notebooks import Notebook
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.experiment import EnvironmentSpec
from submarine_ray.spec.ledger import Beginning
from submarine_ray.spec.notebooks import NotebookSpec, path
from submarine_ray.spec.notebooks import NotebookStatus as Status
from submarine_ray.spec.problems import sentence

DocumentT = TypeVar("DocumentT", bound=BaseModel)

ADDRESS_SECONDS = 1.0  # a page of JupyterLab asks for hundreds of files


@dataclass(frozen=True)
class NotebookAddress:
    """Where a notebook is now: `address` (host:port) while it runs, and the token that opens it there. A cluster that
    is not the platform's own has said where, so that is connected to as `outgoing` allows.
    """

    id: str
    name: str
    status: str
    reason: str
    address: str | None
    token: str
    outgoing: Outgoing | None


class NotebookService(Line):
    """Creates, shows, stops, starts and deletes notebooks; `wake` is called when the reconciler has new work."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        admission: Admission,
        environments: EnvironmentService,
        secrets: SecretBox,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(database, repository)
        self._clusters = clusters
        self._admission = admission
        self._environments = environments
        self._secrets = secrets
        self._wake = wake
        self._ids = IdFactory("notebook", "_")
        self._addresses: dict[str, tuple[float, NotebookAddress]] = {}
        self._lock = threading.Lock()
        clusters.add_user(self)
        admission.add_claimant(self)

    def create(self, spec: NotebookSpec) -> Notebook:
        """Accept a notebook; the reconciler starts it. Raises AlreadyExists, InvalidSpec."""
        spec = restored(spec)
        cluster = spec.cluster or self._clusters.default
        environment = self._environments.resolve(spec.environment) or EnvironmentSpec()
        demand = spec.spec.quantities
        self._admission.placements.check_one(cluster, demand, "spec.resources")
        if environment.kernel_spec:
            self._clusters.check_packages(cluster, environment.kernel_spec)
        row = NotebookRow(
            id=self._ids.next(),
            generation=1,
            uid=str(uuid.uuid4()),
            namespace=spec.meta.namespace,
            name=spec.meta.name,
            taken=path(spec.meta.namespace, spec.meta.name),
            owner=spec.meta.owner_id,
            cluster=cluster,
            spec=Kept(spec.model_dump_json(by_alias=True, exclude_none=True)),
            environment=Kept(environment.model_dump_json(by_alias=True, exclude_none=True)),
            sealed_token=self._secrets.seal(secrets.token_hex(32)),
            wanted="run",
            status=Status.CREATING,
            reason=IS_CREATING,
            attempt=1,
            failures=0,
            superseded="",
            demand_cpu=demand.cpu,
            demand_memory=demand.memory,
            demand_gpu=demand.gpu,
            created_ms=now_ms(),
            next_check_ms=due_ms(),
        )
        with self._database.session(write=True) as session:
            repository.add(session, row, Event("Accepted", f"Accepted for cluster {cluster!r}.", None, row.status))
        self._wake()
        return _answer(row)

    def get(self, notebook_id: str) -> Notebook:
        return _answer(self._row(notebook_id))

    def is_wanted(self, notebook_id: str) -> bool:
        """Whether it runs, or is to run: its token opens nothing otherwise."""
        with self._database.session() as session:
            row = repository.find(session, notebook_id)
        return row is not None and row.wanted == "run"

    def begin(self, notebook_id: str, submission: str, run: str, asks: Principal) -> Beginning:
        """What the notebook's job runs, for the runner that comes with its ticket; see `Beginning`."""
        with self._database.session() as session:
            row = repository.find(session, notebook_id)
        unwanted = None
        if row is None or row.wanted != "run":
            unwanted = "its notebook was stopped or deleted"
        elif submission != row.submission_id:
            unwanted = "the notebook has been started again since"
        elif asks.kind is not PrincipalKind.TICKET:
            unwanted = "what a notebook runs is fetched with its job's ticket"
        return self._clusters.launches.handed_out(unwanted, submission, run)

    def list_page(self, owner: str | None, limit: int | None, cursor: str | None) -> tuple[list[Notebook], Attributes]:
        """Notebooks, oldest first: all of them or an owner's, whole or a page; and the answer's attributes."""
        with self._database.session() as session:
            rows = repository.page(session, owner, limit, Cursor.parse(cursor))
        page, attributes = split(rows, limit, lambda row: Cursor(row.created_ms, row.id))
        return [_answer(row) for row in page], attributes

    def names(self) -> list[tuple[str, str, str]]:
        """The id, the name and the status of each notebook, the newest first."""
        with self._database.session() as session:
            return repository.names(session)

    def history(self, notebook_id: str) -> list[HistoryEvent]:
        self._row(notebook_id)
        with self._database.session() as session:
            return events.history(session, notebook_id)

    def spec(self, notebook_id: str) -> NotebookSpec:
        """As it was asked for, secrets in clear. Raises NotFound."""
        with self._database.session() as session:
            return stored_spec(_found(repository.find(session, notebook_id), notebook_id))

    def delete(self, notebook_id: str) -> Notebook:
        """Gone for users at once, ended on its cluster right after; its files stay. Raises NotFound."""
        with self._database.session(write=True) as session:
            row = _found(repository.find(session, notebook_id, lock=True), notebook_id)
            row.wanted, row.taken, row.deleted_ms = "delete", None, now_ms()
            _terminating(row)
            bury(session, DeletedKind.NOTEBOOK, row.id, row.name)
        return self._changed(row)

    def stop(self, notebook_id: str) -> Notebook:
        """End its process; files and name stay. Raises NotFound, Conflict if it does not run."""
        with self._database.session(write=True) as session:
            row = _found(repository.find(session, notebook_id, lock=True), notebook_id)
            if row.wanted == "stop" or row.status == Status.FAILED:
                raise Conflict(f"The notebook {row.name!r} does not run (it is {row.status}).")
            before = row.status
            row.wanted = "stop"
            _terminating(row)
            events.record(
                session, row.id, [Event("StopAsked", "A user asked the notebook to stop.", before, row.status)]
            )
        return self._changed(row)

    def start(self, notebook_id: str) -> Notebook:
        """Start it again with the same files; no error if it runs. Raises NotFound."""
        with self._database.session(write=True) as session:
            row = _found(repository.find(session, notebook_id, lock=True), notebook_id)
            if row.wanted == "run" and row.status != Status.FAILED:
                return _answer(row)
            before = row.status
            row.superseded = f"{row.superseded} {row.submission_id}".strip()
            row.attempt += 1
            row.generation += 1
            row.failures, row.wanted, row.next_check_ms = 0, "run", due_ms()
            row.status, row.reason = Status.CREATING, IS_CREATING
            row.incarnation = row.address = None
            events.record(
                session, row.id, [Event("StartAsked", "A user asked the notebook to start.", before, row.status)]
            )
        return self._changed(row)

    def address(self, namespace: str, name: str) -> NotebookAddress:
        """Where to find a notebook now. Raises NotFound."""
        taken = path(namespace, name)
        known = self._addresses.get(taken)
        if known and known[0] > time.monotonic():
            return known[1]
        with self._database.session() as session:
            row = repository.find_taken(session, taken)
        if row is None:
            raise NotFound(f"Notebook not found. There is none named {name[:80]!r} in namespace {namespace[:80]!r}.")
        outgoing = self._clusters.addresses.outgoing(row.cluster)
        address = row.address if row.status == Status.RUNNING else None
        found = NotebookAddress(
            row.id, row.name, row.status, row.reason, address, self._secrets.open(row.sealed_token), outgoing
        )
        with self._lock:
            self._addresses[taken] = (time.monotonic() + ADDRESS_SECONDS, found)
        return found

    def forget_addresses(self) -> None:
        """What `address` remembers may no longer be so."""
        with self._lock:
            self._addresses.clear()

    def _changed(self, row: NotebookRow) -> Notebook:
        self.forget_addresses()
        self._wake()
        return _answer(row)

    def holders(self, cluster: str) -> list[Holder]:
        """See admission.Claimant."""
        with self._database.session() as session:
            return [Holder.of(row.demand) for row in repository.active(session, cluster)]

    def abandon(self, cluster: str) -> None:
        """See ClusterUser."""
        with self._database.session(write=True) as session:
            repository.abandon(session, cluster)
        self.forget_addresses()

    def _row(self, notebook_id: str) -> NotebookRow:
        with self._database.session() as session:
            return _found(repository.find(session, notebook_id), notebook_id)


def _terminating(row: NotebookRow) -> None:
    row.status, row.reason = Status.TERMINATING, "The notebook instance is terminating"
    row.address = None
    row.generation += 1
    row.next_check_ms = due_ms()


def _found(row: NotebookRow | None, notebook_id: str) -> NotebookRow:
    if row is None:
        raise NotFound(f"Notebook not found. There is none with the id {notebook_id[:80]!r}.")
    return row


def stored_spec(row: NotebookRow) -> NotebookSpec:
    """The spec as it was asked for. Raises Conflict if this version refuses what another accepted; SecretLost."""
    return _read(NotebookSpec, row, row.spec)


def stored_environment(row: NotebookRow) -> EnvironmentSpec:
    """What the notebook's environment meant when it was created. Raises Conflict, SecretLost."""
    return _read(EnvironmentSpec, row, row.environment)


def _read(document: type[DocumentT], row: NotebookRow, kept: Kept) -> DocumentT:
    try:
        return document.model_validate_json(kept.text)
    except ValidationError as failure:
        raise Conflict(
            f"The notebook {row.name!r} was accepted with a spec that this version refuses "
            f"({sentence(failure.errors()[0])}). Delete it, and create it again under the same name: its files stay."
        ) from failure


def _shown(row: NotebookRow) -> NotebookSpec:
    """Its spec as answered; where it cannot be read any more, what its other columns tell."""
    try:
        spec = shown(NotebookSpec, row.spec.text)
        spec.environment = shown(EnvironmentSpec, row.environment.text)
    except (SecretLost, ValueError):  # the key is lost, or it is no JSON
        resources = f"cpu={row.demand_cpu or 1:g}" + (f",memory={row.demand_memory}" if row.demand_memory else "")
        meta = {"name": row.name, "namespace": row.namespace}
        spec = NotebookSpec.model_validate({"meta": meta, "spec": {"resources": resources}, "cluster": row.cluster})
        spec.environment = EnvironmentSpec()
    spec.meta.owner_id = row.owner
    spec.meta.labels = (spec.meta.labels or {}) | {"notebook-owner-id": row.owner or "", "notebook-id": row.id}
    return spec


def _answer(row: NotebookRow) -> Notebook:
    return Notebook(
        notebook_id=row.id,
        name=row.name,
        uid=row.uid,
        url=f"{path(row.namespace, row.name)}/lab",
        status=row.status,
        reason=row.reason,
        created_time=iso(row.created_ms),
        deleted_time=iso(row.deleted_ms),
        spec=_shown(row),
    )
