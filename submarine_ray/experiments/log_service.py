"""Reads an experiment's log: from its cluster while it runs, then from its MLflow run. Always in pieces."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

from anyio import to_thread
from starlette.concurrency import iterate_in_threadpool

from submarine_ray.clusters.drivers.base import BEGINNING, Mark, UnknownJob, Unreachable
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.errors import ClusterUnavailable, Unavailable
from submarine_ray.experiments import log_lines, log_parts, logs
from submarine_ray.experiments.answers import replica_names
from submarine_ray.experiments.log_lines import Log
from submarine_ray.experiments.log_parts import Part, Told, Window
from submarine_ray.experiments.order import Record
from submarine_ray.experiments.results import FindAttempt
from submarine_ray.experiments.spool import Snapshot, Spools
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow
from submarine_ray.spec.experiment import ExperimentStatus as Status
from submarine_ray.tracking.service import TrackingService

STREAM_PAUSE = 0.2

Lines = list[Told]


class LogService:
    """`row` finds an experiment by its id, `attempt` one of its attempts; both raise NotFound."""

    def __init__(
        self,
        row: Callable[[str], ExperimentRow],
        attempt: FindAttempt,
        clusters: ClusterService,
        tracking: TrackingService,
        spools: Spools,
    ) -> None:
        self._row = row
        self._attempt = attempt
        self._clusters = clusters
        self._tracking = tracking
        self._spools = spools

    async def parts(self, experiment_id: str, attempt: int | None = None) -> list[Part]:
        """The parts of `log`."""
        return (await self.log(experiment_id, attempt)).parts

    async def log(self, experiment_id: str, attempt: int | None = None, least: int | None = None) -> Log:
        """The log of the current attempt, or of the one that is named, as it is now: replicas by their names, then the
        platform and Ray. If `least` lines of it are known, it may be as it was a while ago.

        Raises NotFound, ClusterUnavailable, Busy, Unavailable.
        """
        row = await to_thread.run_sync(self._attempt, experiment_id, attempt)
        if isinstance(row, AttemptRow):
            return await self._earlier(row)
        if row.archived and row.run_id:
            return await to_thread.run_sync(self._archived, row.run_id, logs.DIRECTORY)
        if row.status != Status.ACCEPTED:
            try:
                return _of_snapshot(await self._look(row, row.submission_id, least), row.status not in Status.ENDED)
            except UnknownJob:
                now = await to_thread.run_sync(self._row, experiment_id)
                if now.archived and not row.archived:  # archived between the two looks
                    return await self.log(experiment_id)
            except Unreachable as failure:
                raise ClusterUnavailable(
                    f"The log is on cluster {row.cluster!r}, which cannot be read now: {failure}"
                ) from failure
        return Log(log_parts.empty((*replica_names(row), logs.PLATFORM, logs.RAY)), is_live=True)

    async def _earlier(self, attempt: AttemptRow) -> Log:
        """The log of an earlier attempt: what is stored, or what its job has written while it is being stopped."""
        row = await to_thread.run_sync(self._row, attempt.experiment_id)
        if attempt.submission in row.superseded_ids:
            with contextlib.suppress(UnknownJob, Unreachable):
                return _of_snapshot(await self._look(attempt, attempt.submission), False)
        if attempt.run_id is None:
            return Log([])
        return await to_thread.run_sync(self._archived, attempt.run_id, attempt.log_path)

    async def stream(self, experiment_id: str, replica: str | None, tail: int | None) -> AsyncIterator[Lines]:
        """(replica, line) as they are written, some at a time, across attempts, until the experiment has ended; from
        the beginning, or from the last `tail` lines of each replica.
        """
        told: Counter[str] = Counter()
        row = await to_thread.run_sync(self._row, experiment_id)
        since = BEGINNING
        if tail is not None and row.status == Status.RUNNING:
            async for lines, mark in self._last(row, tail, told):
                since = mark
                if wanted := _of(replica, lines):
                    yield wanted
            tail = None
        known = told.copy()
        while True:
            if row.status == Status.RUNNING:
                async for lines in self._follow(row, told, since, known.copy()):
                    if wanted := _of(replica, lines):
                        yield wanted
            elif row.status in Status.ENDED and row.archived:
                # What the live stream did not bring: an attempt may end before anybody could follow it.
                async for lines in self._rest(experiment_id, told, tail):
                    if wanted := _of(replica, lines):
                        yield wanted
                return
            await asyncio.sleep(STREAM_PAUSE)
            before, row = row, await to_thread.run_sync(self._row, experiment_id)
            if row.attempt != before.attempt:
                told.clear()
                known.clear()
                since = BEGINNING

    async def follow(
        self, experiment_id: str, replica: str | None, after: int, known: int | None
    ) -> AsyncIterator[Lines]:
        """The current attempt's lines in the order of `log`, of all or of one replica, without the first `after`, until
        it ends or its cluster no longer answers. `known` is how many lines of all replicas somebody has seen.
        """
        row = await to_thread.run_sync(self._row, experiment_id)
        while row.status in (Status.ACCEPTED, Status.CREATED):
            await asyncio.sleep(STREAM_PAUSE)
            row = await to_thread.run_sync(self._row, experiment_id)
        if row.status != Status.RUNNING:
            return
        try:
            snapshot = await self._look(row, row.submission_id, known)
        except (UnknownJob, Unreachable, Unavailable):
            return
        rest = log_lines.after(_of_snapshot(snapshot, True), replica, after)
        async for found in iterate_in_threadpool(rest):
            yield found
        told = Counter({one.name: one.lines for one in snapshot.written})
        async for lines in self._follow(row, told, snapshot.mark, told.copy()):
            if wanted := _of(replica, lines):
                yield wanted

    async def _last(self, row: ExperimentRow, tail: int, told: Counter[str]) -> AsyncIterator[tuple[Lines, Mark]]:
        """Each replica's last lines, and the offset in the job's log up to which they reach; `told` counts the lines
        before.
        """
        try:
            snapshot = await self._look(row, row.submission_id)
        except (UnknownJob, Unreachable, Unavailable):
            return  # then from the beginning
        for one, part in zip(snapshot.written, log_parts.of_snapshot(snapshot), strict=True):
            told[one.name] = one.lines
            window = Window(tail=tail)
            async for lines in iterate_in_threadpool(Part(part.name, part.open, part.size).batches(window)):
                yield [Told(one.name, line) for line in lines], snapshot.mark
        yield [], snapshot.mark

    async def _follow(
        self, row: ExperimentRow, told: Counter[str], since: Mark, passed: Counter[str]
    ) -> AsyncIterator[Lines]:
        """An attempt's lines after `since` that were not told yet, until the stream ends or breaks; `told` counts each
        replica's, `passed` those before `since`.
        """
        try:
            driver = await to_thread.run_sync(self._clusters.driver, row.cluster)
            async for raw in logs.whole_lines(driver.follow_log(row.submission_id, since)):
                found: Lines = []
                for name, time, line in map(logs.who, raw):
                    if logs.is_passing(name, line):
                        if passed[name] == told[name]:  # else it is one of those that have long been finished
                            found.append(Told(name, logs.text(line), time))
                        continue
                    passed[name] += 1
                    if passed[name] > told[name]:
                        told[name] += 1
                        found.append(Told(name, logs.text(line), time))
                yield found
        except Unreachable:
            return  # the caller looks again, and takes it up where it broke

    async def _rest(self, experiment_id: str, told: Counter[str], tail: int | None) -> AsyncIterator[Lines]:
        for part in await self.parts(experiment_id):
            window = Window(offset=told[part.name], tail=tail)
            async for lines in iterate_in_threadpool(part.batches(window)):
                yield [Told(part.name, line) for line in lines]

    async def _look(self, row: ExperimentRow | AttemptRow, submission: str, least: int | None = None) -> Snapshot:
        def look() -> Snapshot:
            return self._spools.look(self._clusters.driver(row.cluster), submission, replica_names(row), least)

        return await self._clusters.waiting.ask(row.cluster, look)

    def _archived(self, run_id: str, directory: str) -> Log:
        paths = {
            one.path.removeprefix(f"{directory}/"): one.path
            for one in self._tracking.list_artifacts(run_id, directory)
            if not one.is_dir
        }
        order = paths.pop(logs.ORDER, None)
        by_name = {file.removesuffix(".log"): path for file, path in paths.items()}
        parts = [
            Part(name, lambda path=by_name[name]: self._tracking.artifact(run_id, path))  # type: ignore[misc]
            for name in logs.ordered(by_name)
        ]

        @contextlib.contextmanager
        def opened() -> Iterator[Record]:
            with self._tracking.artifact(run_id, f"{directory}/{logs.ORDER}") as file:
                yield Record(file)

        return Log(parts, opened if order else None)


def _of_snapshot(snapshot: Snapshot, is_live: bool) -> Log:
    return Log(log_parts.of_snapshot(snapshot), lambda: contextlib.nullcontext(snapshot.order), is_live)


def _of(replica: str | None, lines: Lines) -> Lines:
    return lines if replica is None else [one for one in lines if logs.is_of(replica, one[0])]
