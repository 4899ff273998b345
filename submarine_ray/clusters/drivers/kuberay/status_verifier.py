"""Verifies with Ray itself where KubeRay's status is not reliable.

After failures that may be KubeRay's own, and of jobs whose head was away.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime

from submarine_ray.clusters.drivers.base import DEADLINE_EXCEEDED, Job, JobState, Problem, Unreachable
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace, has_condition
from submarine_ray.clusters.drivers.kuberay.objects import Fields, Object
from submarine_ray.clusters.drivers.kuberay.status import LOST, Verdict, meaning
from submarine_ray.core.clock import now_ms

# How long a head may be away before its job counts as lost; KubeRay makes a new pod meanwhile.
HEAD_SECONDS = 120.0
# How long KubeRay's word is not yet believed while Ray itself cannot be asked.
VERIFY_SECONDS = 30.0
LOOK_MS = 2_000


class StatusVerifier:
    """Asks Ray where KubeRay may be wrong. Remembers the answers, so that each verification costs one call."""

    def __init__(self, namespace: Namespace) -> None:
        self._at = namespace
        self._unseen: dict[str, float] = {}
        self._asked: dict[str, tuple[str, Job]] = {}

    def forget(self, submission_id: str) -> None:
        self._asked.pop(submission_id, None)
        self._unseen.pop(submission_id, None)

    def may_ask(self, status: Fields) -> bool:
        """Whether a job of this status in KubeRay's words may have its head asked, which may take long."""
        meant, cluster = meaning(status), status.get("rayClusterName")
        is_away = meant.state is JobState.RUNNING and cluster is not None and not self.head_is_ready(cluster)
        return meant.ask_head or is_away

    def ask(self, found: Job, meant: Verdict, ray_job: Object) -> Job:
        """Ray's own word, where KubeRay's is not enough."""
        key, version = found.submission_id, ray_job["metadata"]["resourceVersion"]
        known = self._asked.get(key)
        if known and known[0] == version:
            return known[1]
        cluster = ray_job["status"].get("rayClusterName")
        try:
            truth = self._at.dashboard(cluster).observe([key]).get(key) if cluster else None
        except Unreachable:
            is_recent = now_ms() - (found.end_ms or 0) < VERIFY_SECONDS * 1000
            if cluster and is_recent and self.head_is_ready(cluster):
                return replace(found, state=JobState.RUNNING, error_type=None, again_ms=LOOK_MS)
            truth = None
        is_late = meant.error_type == DEADLINE_EXCEEDED
        if truth is not None and not truth.state.ended:
            # It lives, whatever KubeRay says; nobody will tell us when it ends.
            late = DEADLINE_EXCEEDED if is_late else None
            return replace(truth, error_type=late, node_id=None, again_ms=LOOK_MS)
        decided = found if truth is None or is_late else replace(truth, node_id=None)
        self._asked[key] = version, decided
        return decided

    def check(self, found: Job, cluster: str | None) -> Job:
        """A head that is away, or was started anew since, may have taken the job along; KubeRay may not notice."""
        key = found.submission_id
        if cluster is None or not self._head_is_suspect(cluster, found.start_ms):
            self._unseen.pop(key, None)
            return found
        since = self._unseen.setdefault(key, time.monotonic())
        try:
            truth = self._at.dashboard(cluster).observe([key]).get(key)
        except Unreachable as failure:
            if time.monotonic() - since < HEAD_SECONDS:
                away = Problem("HeadUnreachable", f"The head pod does not answer ({failure}).")
                return replace(found, again_ms=LOOK_MS, problem=away)
            return replace(found, state=JobState.FAILED, error_type=LOST)
        if truth is None:
            return replace(found, state=JobState.FAILED, error_type=LOST)
        return replace(truth, node_id=None, again_ms=LOOK_MS)

    def _head_is_suspect(self, cluster: str, started_ms: int | None) -> bool:
        if not self.head_is_ready(cluster):
            return True
        return started_ms is not None and any(began > started_ms for began in self._head_began(cluster))

    def head_is_ready(self, cluster: str) -> bool:
        there = self._at.clusters.get(cluster)
        return there is not None and has_condition(there, "HeadPodReady")

    def _head_began(self, cluster: str) -> list[int]:
        """When the containers of the head pod began to run."""
        found = []
        for pod in self._at.pods_of(cluster):
            if pod["metadata"]["labels"].get("ray.io/node-type") == "head":
                for container in pod["status"]["containerStatuses"]:
                    began = ((container.get("state") or {}).get("running") or {}).get("startedAt")
                    found += [ms] if (ms := milliseconds(began)) else []
        return found


def milliseconds(time_text: object) -> int | None:
    """Kubernetes' time (RFC 3339) in ms since 1970."""
    if not time_text:
        return None
    return int(datetime.fromisoformat(str(time_text)).timestamp() * 1000)
