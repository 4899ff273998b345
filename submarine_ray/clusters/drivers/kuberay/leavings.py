"""Deletes what jobs leave behind: Ray clusters without an owner or of a hanging deletion, Secrets without a job."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from submarine_ray.clusters.drivers.kuberay import names, silence
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace
from submarine_ray.clusters.drivers.kuberay.objects import Object

log = structlog.get_logger(__name__)

# Kubernetes collects what has lost its owner by itself, in seconds; what is there so long after has been forgotten.
LEAK_SECONDS = 60.0
SECRETS_PAUSE_SECONDS = 600.0


class Leavings:
    """Remembers since when a Ray cluster has no owner, so that the garbage collector has its time."""

    def __init__(self, namespace: Namespace) -> None:
        self._at = namespace
        self._ownerless: dict[str, float] = {}
        self._secrets_after = time.monotonic() + SECRETS_PAUSE_SECONDS

    def take_away(self, jobs: Mapping[str, Object]) -> None:
        """Delete what nobody needs, of all that the namespace's RayJobs have or had. Raises Unreachable, Blocked."""
        self._leaked(jobs)
        self._held(jobs)
        if time.monotonic() > self._secrets_after:
            self._sweep_secrets(jobs)
            self._secrets_after = time.monotonic() + SECRETS_PAUSE_SECONDS

    def _leaked(self, jobs: Mapping[str, Object]) -> None:
        now = time.monotonic()
        ownerless = [
            name for name, cluster in self._at.clusters.objects().items()
            if cluster["metadata"]["labels"].get(names.EXPERIMENT_LABEL)
            and not cluster["metadata"].get("deletionTimestamp")
            and not _has_owner(cluster, jobs)
        ]  # fmt: skip
        self._ownerless = {name: self._ownerless.get(name, now) for name in ownerless}
        for name, since in self._ownerless.items():
            if now - since > LEAK_SECONDS and not self._lives(self._at.clusters.get(name)):
                log.warning("kuberay.leaked_cluster", cluster=name)
                self._delete_cluster(name)

    def _lives(self, cluster: Object | None) -> bool:
        """Whether the owner exists after all: a watch that has died shows no job that others have made since."""
        for owner in (cluster["metadata"].get("ownerReferences") or []) if cluster else []:
            try:
                if self._at.api.get(self._at.path("rayjobs", owner["name"]))["metadata"]["uid"] == owner["uid"]:
                    return True
            except ApiError as failure:
                if failure.status != 404:
                    return True  # nobody can tell now
        return False

    def _held(self, jobs: Mapping[str, Object]) -> None:
        """Delete the Ray clusters of deleted RayJobs whose finalizer waits for an operator that is away."""
        for ray_job in jobs.values():
            cluster = ray_job["status"].get("rayClusterName")
            there = self._at.clusters.get(cluster) if cluster and silence.held(ray_job) else None
            if there is not None and not there["metadata"].get("deletionTimestamp"):
                log.warning("kuberay.deletion_held", job=ray_job["metadata"]["name"], cluster=cluster)
                self._delete_cluster(str(cluster))

    def _delete_cluster(self, name: str) -> None:
        self._at.delete("rayclusters", name)
        self._at.forget_dashboard(name)

    def _sweep_secrets(self, jobs: Mapping[str, Object]) -> None:
        """Delete Secrets of launches whose RayJob was never made, or is gone."""
        selector = f"{names.selector(self._at.uid)},{names.EXPERIMENT_LABEL}"
        try:
            found, _ = self._at.api.list(self._at.path("secrets"), selector)
        except ApiError as failure:
            log.info("kuberay.secrets_unlisted", why=str(failure))
            return
        for secret in found:
            if secret["metadata"]["name"] not in jobs and silence.age(secret) > SECRETS_PAUSE_SECONDS:
                self._at.delete("secrets", secret["metadata"]["name"])


def _has_owner(cluster: Object, jobs: Mapping[str, Object]) -> bool:
    owners = cluster["metadata"].get("ownerReferences") or []
    return any(owner["name"] in jobs and jobs[owner["name"]]["metadata"]["uid"] == owner["uid"] for owner in owners)
