"""Detects jobs that run but have not fetched their launch: their cluster does not reach this service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from submarine_ray.clusters.drivers.base import Job, JobState, Problem
from submarine_ray.clusters.launches import Launches
from submarine_ray.core.clock import now_ms
from submarine_ray.spec.hosts import is_loopback

# The runner fetches its launch in its first second.
LATE_MS = 20_000


def unfetched(jobs: Mapping[str, Job], launches: Launches) -> dict[str, Job]:
    """The jobs, with what keeps those that cannot begin."""
    late = [key for key, job in jobs.items() if job.state is JobState.RUNNING and _is_late(job)]
    waiting = launches.waiting(late)
    return {key: replace(job, problem=_problem(launches.url)) if key in waiting else job for key, job in jobs.items()}


def _is_late(job: Job) -> bool:
    return job.start_ms is not None and abs(now_ms() - job.start_ms) > LATE_MS


def _problem(url: str) -> Problem:
    here = ", which leads each machine to itself" if is_loopback(urlsplit(url).hostname or "") else ""
    return Problem(
        "ServiceNotReached",
        f"The job has started on the cluster, and has not fetched what it is to run from this service at {url}{here}: "
        "set SUBMARINE_PUBLIC_URL to an address that the cluster reaches.",
    )
