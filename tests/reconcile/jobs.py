"""A cluster of jobs in memory, as its driver shows it; hooks run in the middle of each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from submarine_ray.clusters.drivers.base import (
    LOG_SECONDS,
    AlreadySubmitted,
    Capacity,
    Fence,
    Job,
    JobState,
    Submission,
    Superseded,
    UnknownJob,
    Unreachable,
)
from submarine_ray.spec.quantities import Resources


class FakeJobs:
    """`said` is each job's log. Jobs run as soon as they are submitted, and end when a test says so."""

    watches = False

    def __init__(self, cpu: float = 8) -> None:
        self.jobs: dict[str, Job] = {}
        self.said: dict[str, bytes] = {}
        self.submitted: list[str] = []
        self.stopped: list[str] = []
        self.cpu = cpu
        self.is_away = False
        self.asked = 0
        self.maintained = 0
        self.number = 0
        self.disposed = 0
        self.maintaining: Callable[[], None] = lambda: None
        self.looking: Callable[[], None] = lambda: None
        self.submitting: Callable[[str], None] = lambda _key: None
        self.reading: Callable[[str], None] = lambda _key: None
        self.stopping: Callable[[str], None] = lambda _key: None
        self.deleting: Callable[[str], None] = lambda _key: None

    def capacity(self) -> Capacity:
        self._reach()
        self.asked += 1
        size = Resources(self.cpu, 2**34, 0)
        return Capacity("head", size, size, frozenset({"node"}))

    def observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        self.looking()
        self._reach()
        return {key: self.jobs[key] for key in submission_ids if key in self.jobs}

    def submit(self, submission: Submission) -> None:
        key = submission.launch.submission_id
        self.submitting(key)
        self._reach()
        if key in self.jobs:
            raise AlreadySubmitted
        self.submitted.append(key)
        self.jobs[key] = Job(key, JobState.RUNNING, node_id="node")
        self.said[key] = b"[submarine] notebook at 10.0.0.1:8888\n"

    def read_log(self, submission_id: str, offset: int = 0, patience: float = LOG_SECONDS) -> Iterator[bytes]:
        self.reading(submission_id)
        self._reach()
        if submission_id not in self.said:
            raise UnknownJob
        yield self.said[submission_id][offset:]

    def stop(self, submission_id: str) -> None:
        self.stopping(submission_id)
        self._reach()
        self.stopped.append(submission_id)
        self.end(submission_id, JobState.STOPPED)

    def delete(self, submission_id: str) -> None:
        self.deleting(submission_id)
        self._reach()
        self.jobs.pop(submission_id, None)

    def spools(self, experiment_id: str, submission_id: str) -> dict[str, Path]:
        return {}

    def purge(self, experiment_id: str) -> None:
        self._reach()

    def maintain(self, fence: Fence) -> None:
        self.maintaining()
        self._reach()
        if fence.number < self.number:
            raise Superseded("there is a newer one", self.number)
        self.number = fence.number
        self.maintained += 1

    def dispose(self) -> None:
        self._reach()
        self.disposed += 1

    def end(self, submission_id: str, state: JobState) -> None:
        self.jobs[submission_id] = replace(self.jobs[submission_id], state=state, end_ms=0)

    def _reach(self) -> None:
        if self.is_away:
            raise Unreachable("it does not answer")
