"""The rules of experiments: which requests are valid, and what they change. Only the engine writes observed state."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Sequence

from submarine_ray.access.tombstones import bury
from submarine_ray.admission.explain import Holder
from submarine_ray.admission.rows import Line
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.service import ClusterService, LastSeen
from submarine_ray.core import events
from submarine_ray.core.changes import Changes
from submarine_ray.core.clock import due_ms, iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists, Conflict, InvalidSpec, NotFound
from submarine_ray.core.events import Event
from submarine_ray.core.ids import IdFactory
from submarine_ray.core.masking import restored
from submarine_ray.core.paging import Cursor, split
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.experiments import answers, edits, logs, repository, tried
from submarine_ray.experiments.bulk import BulkChanges
from submarine_ray.experiments.finding import ExperimentFinder
from submarine_ray.experiments.grouping import ExperimentGroups
from submarine_ray.experiments.ledger import Ledger
from submarine_ray.experiments.listing import ExperimentTable
from submarine_ray.experiments.log_service import LogService
from submarine_ray.experiments.provenance import ProvenanceService
from submarine_ray.experiments.repository import DAY_MS
from submarine_ray.experiments.results import ResultService
from submarine_ray.experiments.spool import Spools
from submarine_ray.experiments.sweeps import SweepService
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.experiments.tried import AttemptService
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.answers.base import Attributes, NumberedPage
from submarine_ray.spec.answers.events import Event as HistoryEvent
from submarine_ray.spec.answers.experiments import Experiment, ExperimentLog, ExperimentSummary, PodLog
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.experiment import MAX_TAGS, EnvironmentSpec, ExperimentSpec, check_tag
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.spec.filters import Choices, Filter
from submarine_ray.tracking.service import TrackingService

MAX_WAIT_SECONDS = 60
UNHEARD_SECONDS = 10.0  # between looks of who has heard nothing: the database may have been away


class ExperimentService(Line):
    """Creates, shows, changes and deletes experiments; `wake` is called when the reconciler has new work."""

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        packages: PackageService,
        admission: Admission,
        tracking: TrackingService,
        environments: EnvironmentService,
        changes: Changes,
        wake: Callable[[], None],
        spools: Spools,
    ) -> None:
        super().__init__(database, repository)
        self._changes = changes
        self._clusters = clusters
        self._packages = packages
        self._admission = admission
        self._environments = environments
        self._wake = wake
        self._ids = IdFactory("experiment")
        self.ledger = Ledger(database, clusters.launches)
        self.attempts = AttemptService(database, self._row)
        self.logs = LogService(self._row, self.attempts.find, clusters, tracking, spools)
        self.table = ExperimentTable(database)
        self.groups = ExperimentGroups(database)
        self.bulk = BulkChanges(self.table, self.tag, self.stop, self.delete)
        self.finder = ExperimentFinder(database)
        self.results = ResultService(self.attempts.find, tracking)
        self.provenance = ProvenanceService(database, self.attempts.find)
        self.sweeps = SweepService(database, clusters, admission, self.results, changes, self._row, wake)
        clusters.add_user(self)
        admission.add_claimant(self)

    def create(self, spec: ExperimentSpec, clone_of: str | None = None) -> Experiment:
        """Accept an experiment: one row, and the reconciler does the rest. `clone_of` is the experiment whose secrets
        stand for the masks in the spec. Raises InvalidSpec, NotFound.
        """
        source = self._row(clone_of) if clone_of else None
        spec = restored(spec, (lambda: answers.stored_spec(source)) if source else None)
        there, environment = self._accepting(spec)
        row = ExperimentRow(
            uid=str(uuid.uuid4()),
            status=Status.ACCEPTED,
            accepted_ms=now_ms(),
            next_check_ms=due_ms(),
            attempt=1,
            **self._values(there, spec, environment),
        )
        row.generation, row.wanted, row.superseded, row.archived, row.failures = 1, "run", "", False, 0
        accepted = Event("Accepted", f"Accepted for cluster {row.cluster!r}.", None, Status.ACCEPTED)
        happened = [accepted, *_warnings(there, spec, environment)]
        while True:
            row.id = self._ids.next()
            try:
                with self._database.session(write=True) as session:
                    repository.add(session, row, happened, spec.meta.tags)
                break
            except AlreadyExists:  # another control service made the same id in the same millisecond
                continue
        self._wake()
        return answers.whole(row)

    def get(self, experiment_id: str) -> Experiment:
        return answers.whole(self._row(experiment_id))

    def several(self, experiment_ids: Sequence[str]) -> dict[str, Experiment]:
        """Some experiments by their ids, in one query; those that do not exist are missing."""
        with self._database.session() as session:
            return {row.id: answers.whole(row) for row in repository.find_all(session, experiment_ids)}

    async def ended(self, experiment_id: str, patience: float) -> Experiment:
        """The experiment as soon as it has ended, or after `patience` seconds as it is then. Raises NotFound."""
        until = time.monotonic() + patience
        with self._changes.heard(experiment_id) as changed:
            while True:
                changed.clear()
                row = await asyncio.to_thread(self._row, experiment_id)
                left = until - time.monotonic()
                if row.status in Status.ENDED or left <= 0:
                    return answers.whole(row)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, UNHEARD_SECONDS))

    def page(
        self, status: str | None, tag: str | None, number: int, size: int | None, state: str | None = None
    ) -> tuple[list[Experiment], Attributes]:
        """Experiments, newest first: all of them, or a page by its number; and the answer's attributes."""
        wanted = Filter(_known_status(status), tag, state=_known_state(state))
        with self._database.session() as session:
            rows = repository.page(session, wanted, (number - 1) * (size or 0), size)
            if not size:
                return [answers.whole(row) for row in rows], Attributes()
            total = repository.count(session, wanted)
        return [answers.whole(row) for row in rows], NumberedPage(total=total, page=number, page_size=size)

    def summaries(self, wanted: Filter, number: int, size: int) -> tuple[list[ExperimentSummary], int]:
        """A page of a table of experiments, newest first, without their specs; and how many there are in all."""
        _known_status(wanted.status)
        with self._database.session() as session:
            rows = repository.page(session, wanted, (number - 1) * size, size)
            total = repository.count(session, wanted)
            tags = repository.tags(session, [row.id for row in rows])
        return [answers.summary(row, tags.get(row.id, [])) for row in rows], total

    def filters(self) -> Choices:
        """The owners, frameworks and tags that experiments have."""
        with self._database.session() as session:
            return repository.choices(session)

    def page_after(
        self, status: str | None, tag: str | None, limit: int, cursor: str | None, state: str | None = None
    ) -> tuple[list[Experiment], Attributes]:
        """The page behind a cursor, newest first; and the answer's attributes."""
        wanted = Filter(_known_status(status), tag, state=_known_state(state))
        with self._database.session() as session:
            found = repository.page_after(session, wanted, limit, Cursor.parse(cursor))
        rows, attributes = split(found, limit, lambda row: Cursor(row.accepted_ms, row.id))
        return [answers.whole(row) for row in rows], attributes

    def tag(self, experiment_id: str, tag: str, wanted: bool) -> Experiment:
        """Give an experiment a tag, or take it away; neither is an error if it is so already. Raises NotFound."""
        try:
            check_tag(tag)
        except ValueError as failure:
            raise InvalidSpec(str(failure), "tag") from failure
        with self._database.session(write=True) as session:
            row = self._found(repository.find(session, experiment_id, lock=True), experiment_id)
            spec = answers.stored_spec(row)
            if wanted != (tag in spec.meta.tags):
                others = [other for other in spec.meta.tags if other != tag]
                spec.meta.tags = [*others, tag] if wanted else others
            if len(spec.meta.tags) > MAX_TAGS:
                raise InvalidSpec(f"an experiment has at most {MAX_TAGS} tags", "tag")
            row.spec = answers.kept(spec)
            repository.set_tags(session, row, spec.meta.tags)
        return answers.whole(row)

    def edit(self, experiment_id: str, spec: ExperimentSpec) -> Experiment | None:
        """Change its name, tags, owner, team or notes in place, which runs nothing; None if the spec changes more."""
        with self._database.session(write=True) as session:
            row = self._found(repository.find(session, experiment_id, lock=True), experiment_id)
            spec = restored(spec, lambda: answers.stored_spec(row))
            changed = edits.edited(row, spec)
            if changed is None:
                return None
            if changed:
                events.record(session, row.id, [Event("Edited", edits.describe(row, spec, changed))])
                spec = edits.write(row, spec)
                repository.set_tags(session, row, spec.meta.tags)
        self._changes.tell(experiment_id)
        return answers.whole(row)

    def patch(self, experiment_id: str, spec: ExperimentSpec, rerun: bool = False) -> Experiment:
        """Give an experiment a new spec. What is only about it, as its name and tags, is changed in place; for all
        else, and with `rerun` in any case, the current attempt is stopped and the next one begins.
        """
        if not rerun and (edited := self.edit(experiment_id, spec)):
            return edited
        before = self._row(experiment_id)
        spec = restored(spec, lambda: answers.stored_spec(before))
        # A placement has found its cluster; the experiment stays there.
        there, environment = self._accepting(spec, before.cluster if spec.placement else None)
        values = self._values(there, spec, environment)
        warnings = _warnings(there, spec, environment)
        with self._database.session(write=True) as session:
            row = self._found(repository.find(session, experiment_id, lock=True), experiment_id)
            if values["cluster"] != row.cluster:
                raise InvalidSpec(
                    f"the experiment runs on {row.cluster!r} and cannot move; create a new one there", "cluster"
                )
            status = row.status
            repository.keep_attempt(session, row, tried.outcome(row), logs.DIRECTORY)
            row.superseded = f"{row.superseded} {row.submission_id}".strip()
            for name, value in values.items():
                setattr(row, name, value)
            row.attempt += 1
            row.generation += 1
            row.failures = 0
            row.wanted, row.status, row.archived, row.unheard_samples = "run", Status.ACCEPTED, False, None
            row.reason = row.message = row.incarnation = row.run_id = None
            row.created_ms = row.running_ms = row.finished_ms = row.deadline_ms = None
            row.next_check_ms = due_ms()
            changed = Event("Patched", f"A new spec begins attempt {row.attempt}.", status, Status.ACCEPTED)
            events.record(session, row.id, [changed, *warnings])
            repository.set_tags(session, row, spec.meta.tags)
        self._wake()
        return answers.whole(row)

    def delete(self, experiment_id: str) -> Experiment:
        """Delete an experiment: gone for users at once, stopped and cleaned up on its cluster right after."""
        with self._database.session(write=True) as session:
            row = self._found(repository.find(session, experiment_id, lock=True), experiment_id)
            gone = Event("Deleted", "A user deleted the experiment.", row.status, Status.DELETED)
            row.status, row.wanted, row.next_check_ms = Status.DELETED, "delete", due_ms()
            bury(session, DeletedKind.EXPERIMENT, row.id, row.name)
            row.generation += 1
            events.record(session, row.id, [gone])
        self._wake()
        self._changes.tell(experiment_id)
        times = dict.fromkeys(("accepted_time", "created_time", "running_time", "finished_time"))
        return answers.whole(row).model_copy(update=times)

    def stop(self, experiment_id: str) -> Experiment:
        """Ask a running experiment to end; it keeps its history. Raises Conflict if it has ended."""
        with self._database.session(write=True) as session:
            row = self._found(repository.find(session, experiment_id, lock=True), experiment_id)
            if row.status in Status.ENDED:
                raise Conflict(f"{experiment_id} has ended already ({row.status}).")
            row.wanted, row.next_check_ms = "stop", due_ms()
            row.generation += 1
            events.record(session, row.id, [Event("StopAsked", "A user asked the experiment to stop.")])
        self._wake()
        return answers.whole(row)

    def history(self, experiment_id: str) -> list[HistoryEvent]:
        self._row(experiment_id)
        with self._database.session() as session:
            return events.history(session, experiment_id)

    def log_names(self, status: str | None) -> list[ExperimentLog]:
        """The logs of experiments: the replicas of each."""
        with self._database.session() as session:
            rows = repository.page(session, Filter(_known_status(status)), 0, None)
        return [
            ExperimentLog(
                experiment_id=row.id,
                log_content=[PodLog(pod_name=f"{row.id}-{name}", pod_log=[]) for name in answers.replica_names(row)],
            )
            for row in rows
        ]

    def count_by_state(self) -> dict[str, int]:
        """How many there are in each state as people see them: what was stopped has not failed."""
        with self._database.session() as session:
            return repository.count_by_state(session)

    def count_by_framework(self) -> dict[str, int]:
        with self._database.session() as session:
            return repository.count_by_framework(session)

    def count_by_day(self, days: int) -> dict[str, int]:
        """How many were accepted on each of the last days (UTC, as month-day), the oldest first."""
        first = now_ms() // DAY_MS - days + 1
        with self._database.session() as session:
            found = repository.count_by_day(session, first)
        return {(iso(day * DAY_MS) or "")[5:10]: found.get(day, 0) for day in range(first, first + days)}

    def holders(self, cluster: str) -> list[Holder]:
        """See admission.Claimant."""
        with self._database.session() as session:
            rows = repository.active(session, cluster)
        return [Holder.of(row.demand, starting=row.status == Status.CREATED) for row in rows]

    def abandon(self, cluster: str) -> None:
        """See ClusterUser."""
        with self._database.session(write=True) as session:
            ids = repository.abandon(session, cluster)
        for experiment_id in ids:
            self._changes.tell(experiment_id)

    def _accepting(self, spec: ExperimentSpec, cluster: str | None = None) -> tuple[LastSeen, EnvironmentSpec | None]:
        """The cluster that a user's spec runs on (`cluster`, or the one that it asks for), and its environment. Raises
        InvalidSpec.
        """
        cluster = cluster or self._admission.placements.place(spec)
        environment = self._environments.resolve(spec.environment)
        if spec.code and spec.code.sync_mode == "package" and not self._packages.has(spec.code.url or ""):
            raise InvalidSpec("no such package was uploaded; PUT /api/v1/package uploads one", "code.url")
        there = self._clusters.check_experiment(cluster, spec, environment)
        self._admission.placements.check_demand(there, spec)
        return there, environment

    def _values(self, there: LastSeen, spec: ExperimentSpec, environment: EnvironmentSpec | None) -> dict[str, object]:
        """The columns that a user's spec sets."""
        stored = spec.model_copy(update={"meta": spec.meta.model_copy(update={"experiment_id": None})})
        demand = spec.demand
        return {
            "name": spec.meta.name,
            "owner": spec.meta.owner,
            "framework": spec.meta.framework,
            "cluster": there.name,
            "spec": answers.kept(stored),
            "environment": answers.kept(environment) if environment else None,
            "package": spec.code.url if spec.code and spec.code.sync_mode == "package" else None,
            "sealed_password": None,
            "max_retries": spec.retries,
            "timeout_seconds": spec.timeout,
            "demand_cpu": demand.cpu,
            "demand_memory": demand.memory,
            "demand_gpu": demand.gpu,
            "units": self._admission.placements.most_trials(there, spec),
        }

    def _row(self, experiment_id: str) -> ExperimentRow:
        with self._database.session() as session:
            return self._found(repository.find(session, experiment_id), experiment_id)

    @staticmethod
    def _found(row: ExperimentRow | None, experiment_id: str) -> ExperimentRow:
        if row is None:
            raise NotFound(
                f"Not found experiment {experiment_id[:80]!r}. `submarine list experiment` shows those there are."
            )
        return row


def _known_status(status: str | None) -> str | None:
    return _known(status, Status.ALL, "status")


def _known_state(state: str | None) -> str | None:
    return _known(state, Status.SEEN, "state")


def _known(word: str | None, words: Sequence[str], field: str) -> str | None:
    if not word:
        return None
    for known in words:
        if known.lower() == word.lower():
            return known
    raise InvalidSpec(f"unknown {field} {word[:80]!r}; use one of {', '.join(words)}", field)


def _warnings(there: LastSeen, spec: ExperimentSpec, environment: EnvironmentSpec | None) -> list[Event]:
    """Warnings about settings that are ambiguous, or that clusters of this kind cannot apply."""
    found = [Event("NoShell", warning) for warning in spec.command_warnings]
    found += answers.told_of_packages(environment)
    if there.capabilities.has_pods:
        return found
    images = {environment.container_image} if environment else set()
    images |= {task.image for task in spec.spec.values()}
    found += [
        Event(
            "ImageIgnored",
            f"The image {image!r} is not used: this cluster runs plain processes, not containers. The command "
            "runs in the cluster's Python; list what it lacks in environment.kernelSpec.pipDependencies.",
        )
        for image in sorted(filter(None, images))
    ]
    if spec.kubernetes:
        why = f"What 'kubernetes' says is not used: the experiment has no pods of its own on {there.name!r}."
        found.append(Event("KubernetesIgnored", why))
    return found
