"""A Ray cluster for each job: RayJobs, watched."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import structlog

from submarine_ray.clusters.drivers.activity import aside
from submarine_ray.clusters.drivers.base import (
    BEGINNING,
    LOG_SECONDS,
    OUT_OF_MEMORY,
    AlreadySubmitted,
    Blocked,
    Capacity,
    Fence,
    Job,
    JobState,
    Mark,
    Problem,
    Submission,
    SubmissionRefused,
    UnknownJob,
    Unreachable,
)
from submarine_ray.clusters.drivers.kuberay import allowed, manifests, names, problems, silence
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.leavings import Leavings
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace
from submarine_ray.clusters.drivers.kuberay.objects import Object, OwnerReference
from submarine_ray.clusters.drivers.kuberay.services import RayServices
from submarine_ray.clusters.drivers.kuberay.status import Verdict, meaning
from submarine_ray.clusters.drivers.kuberay.status_verifier import LOOK_MS, StatusVerifier, milliseconds
from submarine_ray.core.clock import due_ms
from submarine_ray.spec.launch import GRACE_MARGIN, GRACE_SECONDS, Code, Launch
from submarine_ray.spec.quantities import parse_bound

log = structlog.get_logger(__name__)

# What Ray has, beside the time that its job's processes have, until the RayJob is deleted.
STOP_SECONDS = 10.0
# How many heads one look asks at a time.
HEADS_AT_ONCE = 16
# Each starts on pods of its own, and so delays no other.
STARTING = 10_000
_EXIT_STATUS = re.compile(r"failed with exit code (\d+)")


class DedicatedClusters(RayServices):
    """A namespace where each experiment has its own RayJob."""

    watches = True

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._verifier = StatusVerifier(namespace)
        self._stopping: dict[str, float] = {}
        self._leavings = Leavings(namespace)

    def submit(self, submission: Submission) -> None:
        at = self._at
        allowed.check(at, submission.pods)
        launch = self._placed(submission.launch)
        submission = replace(submission, launch=launch)
        name = names.object_name(launch.submission_id)
        runner = at.ensure_runner()
        labels = names.job_labels(at.uid, submission)
        secret = manifests.secret(at.spec, name, labels, {"launch.json": launch.dumps()})
        at.create("secrets", secret)  # first: the pods wait for it, and it is swept away if nothing follows
        made = at.create("rayjobs", manifests.ray_job(at.pod_spec(), at.uid, submission, runner))
        if made is None:
            there = at.api.get(at.path("rayjobs", name))
            if not at.is_ours(there):
                raise SubmissionRefused(f"the namespace has a RayJob {name} of somebody else")
            at.jobs.put(there)
            raise AlreadySubmitted(launch.submission_id)
        at.jobs.put(made)
        self._own_secret(name, made)

    def observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        known = self._at.jobs.objects()
        shown = {key: known.get(names.object_name(key)) or self._look(key) for key in submission_ids}
        ours = {key: ray_job for key, ray_job in shown.items() if ray_job is not None and self._at.is_ours(ray_job)}
        jobs = self._jobs(ours)
        return {key: job for key, job in jobs.items() if job.state.ended or not self._is_gone(ours[key])}

    def _jobs(self, ray_jobs: Mapping[str, Object]) -> dict[str, Job]:
        """The jobs of RayJobs. Heads that must be asked are asked in parallel: each that hangs takes as long as a
        request may.
        """
        asking = [key for key, ray_job in ray_jobs.items() if self._verifier.may_ask(ray_job["status"])]
        if len(asking) < 2:
            return {key: self._job(key, ray_job) for key, ray_job in ray_jobs.items()}
        with ThreadPoolExecutor(min(len(asking), HEADS_AT_ONCE), "heads") as pool:
            answers = {key: pool.submit(self._job, key, ray_jobs[key]) for key in asking}
        return {
            key: answers[key].result() if key in answers else self._job(key, ray_job)
            for key, ray_job in ray_jobs.items()
        }

    def read_log(self, submission_id: str, offset: int = 0, patience: float = LOG_SECONDS) -> Iterator[bytes]:
        cluster = self._cluster_of(submission_id)
        try:
            yield from self._at.dashboard(cluster).read_log(submission_id, offset, patience)
        except Unreachable:
            if self._verifier.head_is_ready(cluster) and not self._is_given_up(submission_id):
                raise
            raise UnknownJob(submission_id) from None  # its pod is gone, and the log with it

    async def follow_log(self, submission_id: str, since: Mark = BEGINNING) -> AsyncIterator[bytes]:
        try:
            cluster = await aside(self._cluster_of, submission_id)
        except UnknownJob as failure:
            raise Unreachable(f"{submission_id} has no Ray cluster") from failure
        dashboard = await aside(self._at.dashboard, cluster)
        async for piece in dashboard.follow_log(submission_id, since):
            yield piece

    def stop(self, submission_id: str) -> None:
        """Stop a job through Ray, so that the runner can end well. The RayJob is deleted if Ray has not started or does
        not obey.
        """
        ray_job = self._at.jobs.get(names.object_name(submission_id))
        if ray_job is None or ray_job["metadata"].get("deletionTimestamp"):
            return
        begun = self._stopping.setdefault(submission_id, time.monotonic())
        status = ray_job["status"]
        cluster = status.get("rayClusterName")
        if cluster and status.get("jobStatus") and time.monotonic() - begun < _leaving_seconds(ray_job) + STOP_SECONDS:
            try:
                self._at.dashboard(cluster).stop(submission_id)
                return
            except Unreachable as failure:
                log.info("kuberay.stop_unheard", submission=submission_id, why=str(failure))
                if self._verifier.head_is_ready(cluster):
                    return
        self._delete(ray_job)

    def delete(self, submission_id: str) -> None:
        """Delete a RayJob: now, or after the time that its cluster or experiment asks for."""
        name = names.object_name(submission_id)
        ray_job = self._at.jobs.get(name)
        self._stopping.pop(submission_id, None)
        self._verifier.forget(submission_id)
        if ray_job is None:
            self._at.delete("secrets", name)
            return
        seconds = _keep_seconds(ray_job)
        if not seconds:
            self._delete(ray_job)
        elif names.DELETE_AFTER_ANNOTATION not in ray_job["metadata"]["annotations"]:
            self._patch(
                name,
                {"metadata": {"annotations": {names.DELETE_AFTER_ANNOTATION: str(due_ms() + seconds * 1000)}}},
            )

    def spools(self, experiment_id: str, submission_id: str) -> dict[str, Path]:
        """None: spools lie in the pods, and are deleted with them."""
        return {}

    def purge(self, experiment_id: str) -> None:
        for ray_job in self._at.jobs.objects().values():
            if ray_job["metadata"]["labels"].get(names.EXPERIMENT_LABEL) == experiment_id:
                self._delete(ray_job)

    def capacity(self) -> Capacity:
        self._at.jobs.objects()  # raises if nobody is there
        self._at.ground.look()
        spec = self._at.spec
        return Capacity(
            incarnation=f"kubernetes:{self._at.uid}",
            total=parse_bound(spec.limits),
            largest_node=parse_bound(spec.node),
            starting=STARTING,
        )

    def maintain(self, fence: Fence) -> None:
        """Delete what has stayed as long as it should, and what nobody owns any more."""
        super().maintain(fence)
        known = self._at.jobs.objects()
        for ray_job in known.values():
            due = ray_job["metadata"]["annotations"].get(names.DELETE_AFTER_ANNOTATION)
            if due and int(due) <= due_ms():
                self._delete(ray_job)
        self._leavings.take_away(known)

    def dispose(self) -> None:
        for ray_job in self._at.jobs.objects().values():
            self._delete(ray_job)
        super().dispose()

    def _job(self, submission_id: str, ray_job: Object) -> Job:
        found = self._state(submission_id, ray_job)
        cluster = ray_job["status"].get("rayClusterName")
        # Ray sees a pod that is gone, and Kubernetes why.
        if cluster and found.state is JobState.FAILED and (found.is_lost or "died" in found.why):
            lacking = None if found.out_of_memory else problems.out_of_memory(self._at.pods_of(cluster))
            return replace(found, error_type=OUT_OF_MEMORY, message=lacking) if lacking else found
        return found

    def _state(self, submission_id: str, ray_job: Object) -> Job:
        status = ray_job["status"]
        deployment, meant = str(status.get("jobDeploymentStatus") or ""), meaning(status)
        info = status.get("rayJobInfo") or {}
        found = Job(
            submission_id=submission_id,
            state=meant.state,
            error_type=meant.error_type,
            message=". ".join(filter(None, (meant.message, str(status.get("message") or "")))) or None,
            exit_code=_exit_status(status.get("message")),
            start_ms=milliseconds(info.get("startTime")),
            end_ms=milliseconds(info.get("endTime")) or milliseconds(status.get("endTime")),
        )
        if ray_job["metadata"].get("deletionTimestamp") and not meant.state.ended:
            return replace(found, again_ms=LOOK_MS, problem=silence.of_deletion(ray_job))
        if not deployment:
            problem = silence.of(ray_job, "RayJob", self._at.spec.namespace)
            return replace(found, problem=problem, again_ms=None if problem else silence.again_ms(ray_job))
        if meant.ask_head:
            return self._verifier.ask(found, meant, ray_job)
        if meant.state is JobState.PENDING:
            return replace(found, problem=self._problem(meant, deployment, status.get("rayClusterName")))
        if meant.state is JobState.RUNNING:
            checked = self._verifier.check(found, cluster := status.get("rayClusterName"))
            stuck = problems.of_autoscaler(self._at.pods_of(cluster)) if cluster and not checked.state.ended else None
            return replace(checked, problem=checked.problem or stuck)
        return found

    def _is_gone(self, ray_job: Object) -> bool:
        """Whether only the operator's finalizer is left of the RayJob: nothing of it runs, or can start."""
        cluster = ray_job["status"].get("rayClusterName")
        is_deleted = bool(ray_job["metadata"].get("deletionTimestamp"))
        return is_deleted and (not cluster or self._at.clusters.get(cluster) is None)

    def _problem(self, meant: Verdict, deployment: str, cluster: str | None) -> Problem | None:
        """The problem that keeps a job from starting."""
        if deployment == "Suspended":
            return Problem("Queued", f"{meant.message}.")
        return self._at.problem_of(cluster) if cluster else None

    def _placed(self, launch: Launch) -> Launch:
        """The launch with the directories of its pods, and with code that it can fetch."""
        base = f"/tmp/submarine/{launch.experiment_id}"  # noqa: S108 (in the pod)
        storage = self._at.spec.storage
        if launch.notebook:
            root = storage if storage and storage.startswith("/") else "/tmp/submarine"  # noqa: S108
            return replace(launch, work_dir=f"{root}/notebooks/{launch.notebook.folder}")
        launch = replace(
            launch,
            # The operator, or the submitter's second try, starts a job again that the head has forgotten.
            begin_url=launch.begin_address() if launch.service_url else None,
            work_dir=f"{base}/{launch.submission_id}",
            tensorboard_dir=f"{base}/tensorboard",
            storage_dir=f"{storage.rstrip('/')}/{launch.experiment_id}" if storage else f"{base}/storage",
        )
        if launch.code and launch.code.mode == "package":
            digest = launch.code.url.removeprefix("package://")
            url = f"{launch.service_url}/api/v1/package/{digest}"
            token = launch.tracking.token if launch.tracking else None
            launch = replace(launch, code=Code("download", url, password=token))
        return launch

    def _own_secret(self, name: str, ray_job: Object) -> None:
        """Make the RayJob the owner of its launch's Secret, so that both are deleted together."""
        owner: OwnerReference = {
            "apiVersion": names.GROUP, "kind": "RayJob", "name": name, "uid": ray_job["metadata"]["uid"],
        }  # fmt: skip
        with contextlib.suppress(ApiError, Unreachable):  # it is swept away some minutes later otherwise
            self._at.api.patch(self._at.path("secrets", name), {"metadata": {"ownerReferences": [owner]}})

    def _look(self, submission_id: str) -> Object | None:
        """Read a RayJob that the watch does not show: it is gone, or newer than what the watch has told."""
        try:
            found = self._at.api.get(self._at.path("rayjobs", names.object_name(submission_id)))
        except ApiError as failure:
            if failure.status == 404:
                return None
            raise Unreachable(str(failure)) from failure
        self._at.jobs.put(found)
        return self._at.jobs.get(names.object_name(submission_id))

    def _is_given_up(self, submission_id: str) -> bool:
        """Whether KubeRay has waited for the dashboard for minutes although its pod is ready."""
        ray_job = self._at.jobs.get(names.object_name(submission_id))
        return ray_job is not None and ray_job["status"].get("reason") == "JobStatusCheckTimeoutExceeded"

    def _cluster_of(self, submission_id: str) -> str:
        """The name of the job's RayCluster. Raises UnknownJob."""
        ray_job = self._at.jobs.get(names.object_name(submission_id))
        cluster = ray_job["status"].get("rayClusterName") if ray_job else None
        if not cluster:
            raise UnknownJob(submission_id)
        return str(cluster)

    def _delete(self, ray_job: Object) -> None:
        name = ray_job["metadata"]["name"]
        if not ray_job["metadata"].get("deletionTimestamp"):
            try:
                self._at.delete("rayjobs", name)
            except Blocked as failure:
                raise Unreachable(str(failure)) from failure
        with contextlib.suppress(Blocked):
            self._at.delete("secrets", name)
        if cluster := ray_job["status"].get("rayClusterName"):
            self._at.forget_dashboard(cluster)

    def _patch(self, name: str, body: Object) -> None:
        try:
            self._at.jobs.put(self._at.api.patch(self._at.path("rayjobs", name), body))
        except ApiError as failure:
            if failure.status != 404:
                raise Unreachable(f"RayJob {name} cannot be changed: {failure}") from failure


def _keep_seconds(ray_job: Object) -> int:
    ok, failed = (ray_job["metadata"]["annotations"].get(names.KEEP_ANNOTATION) or "0 0").split()
    return int(ok if ray_job["status"].get("jobStatus") == "SUCCEEDED" else failed)


def _leaving_seconds(ray_job: Object) -> int:
    """How long the job's processes may take to end, and the runner after them."""
    return int(ray_job["metadata"]["annotations"].get(names.GRACE_ANNOTATION) or GRACE_SECONDS) + GRACE_MARGIN


def _exit_status(message: object) -> int | None:
    found = _EXIT_STATUS.search(str(message or ""))
    return int(found[1]) if found else None
