"""One long-lived Ray cluster for all jobs: a RayCluster that the service makes, scales and heals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import structlog

from submarine_ray.clusters.drivers.base import (
    BEGINNING,
    LOG_SECONDS,
    Blocked,
    Capacity,
    Fence,
    Job,
    Mark,
    Submission,
    SubmissionRefused,
    Unreachable,
)
from submarine_ray.clusters.drivers.kuberay import fencing, manifests, names, problems, silence
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace, has_condition
from submarine_ray.clusters.drivers.kuberay.objects import Object
from submarine_ray.clusters.drivers.kuberay.services import RayServices
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.spec.launch import GRACE_SECONDS

log = structlog.get_logger(__name__)


class SharedCluster(RayServices):
    """Jobs go to the RayCluster's own Jobs API; endpoints are RayServices beside it."""

    watches = False

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self.name = names.object_name(f"submarine-{namespace.uid[:8]}")

    def submit(self, submission: Submission) -> None:
        self._jobs().submit(submission)

    def observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        return self._jobs().observe(submission_ids)

    def read_log(self, submission_id: str, offset: int = 0, patience: float = LOG_SECONDS) -> Iterator[bytes]:
        return self._jobs().read_log(submission_id, offset, patience)

    async def follow_log(self, submission_id: str, since: Mark = BEGINNING) -> AsyncIterator[bytes]:
        async for piece in self._jobs().follow_log(submission_id, since):
            yield piece

    def stop(self, submission_id: str) -> None:
        self._jobs().stop(submission_id)

    def delete(self, submission_id: str) -> None:
        self._jobs().delete(submission_id)

    def spools(self, experiment_id: str, submission_id: str) -> dict[str, Path]:
        """They lie in pods, and go with them."""
        return {}

    def purge(self, experiment_id: str) -> None:
        """What attempts left lies in pods, and goes with them; but launches that nobody has fetched."""
        self._jobs().purge(experiment_id)

    def capacity(self) -> Capacity:
        """What the workers can be together: Ray's autoscaler makes them when jobs ask."""
        self._at.ground.look()
        try:
            there = self._jobs().capacity()
        except Unreachable as failure:
            # A token that was made anew with its cluster, among other things.
            self._at.forget_dashboard(self.name)
            raise Unreachable(self._why() or str(failure)) from failure
        total, largest = manifests.offered(self._at.spec)
        incarnation, nodes = there.incarnation, there.nodes
        return Capacity(incarnation, total, largest, nodes, note=self._note(), grace=GRACE_SECONDS)

    def maintain(self, fence: Fence) -> None:
        """Have the RayCluster as the registration says: make it, make it anew, change it."""
        super().maintain(fence)
        try:
            self._bring_about(fence)
        except (Blocked, SubmissionRefused) as failure:
            raise Unreachable(str(failure)) from failure

    def dispose(self) -> None:
        self._at.delete("rayclusters", self.name)
        super().dispose()

    def _jobs(self) -> RayJobs:
        return self._at.dashboard(self.name)

    def _bring_about(self, fence: Fence) -> None:
        at = self._at
        wanted = manifests.ray_cluster(at.pod_spec(), at.uid, self.name, at.ensure_runner())
        there = at.clusters.get(self.name)
        if there is not None and there["metadata"].get("deletionTimestamp"):
            return
        written = fencing.put(at, "rayclusters", wanted, there, fence, _keep_scale)
        if written is None:
            return
        at.clusters.put(written)
        if there is None:
            log.info("kuberay.shared_cluster_made", cluster=self.name)
            at.forget_dashboard(self.name)

    def _note(self) -> str | None:
        """What users should know of a cluster that answers: its workers may lack all the same."""
        advice = f"no workers come. When nothing runs there: kubectl delete pod -n {self._at.spec.namespace} {{pod}}"
        ended = problems.of_autoscaler(self._at.pods_of(self.name), advice)
        problem = ended or self._at.problem_of(self.name)
        return problem.message if problem else None

    def _why(self) -> str | None:
        """What keeps the cluster from answering, if Kubernetes knows."""
        there = self._at.clusters.get(self.name)
        if there is None:
            return "the RayCluster is being made"
        problem = self._at.problem_of(self.name)
        if problem is None and not there["status"]["conditions"]:
            problem = silence.of(there, "RayCluster", self._at.spec.namespace)
        if problem is None and not has_condition(there, "HeadPodReady"):
            return "the RayCluster is starting"
        return problem.message if problem else None


def _keep_scale(wanted: Object, there: Object) -> None:
    """Leave groups as large as Ray's autoscaler has made them, within their new bounds."""
    now = {group["groupName"]: int(group.get("replicas") or 0) for group in there["spec"].get("workerGroupSpecs") or []}
    for group in wanted["spec"]["workerGroupSpecs"]:
        if group["groupName"] in now:
            group["replicas"] = min(max(now[group["groupName"]], group["minReplicas"]), group["maxReplicas"])
