"""Explains to users why pods do not run."""

from __future__ import annotations

import re
from collections.abc import Iterable

from submarine_ray.clusters.drivers.base import Problem
from submarine_ray.clusters.drivers.kuberay.objects import Fields, Object
from submarine_ray.spec import memory

# Of a container that waits: Kubernetes' reason, ours, and what to say. Source: pkg/kubelet/images, kuberuntime.
_WAITING = {
    "ImagePullBackOff": ("ImagePullFailed", "The image {image} cannot be fetched ({why})."),
    "ErrImagePull": ("ImagePullFailed", "The image {image} cannot be fetched ({why})."),
    "ErrImageNeverPull": ("ImagePullFailed", "The image {image} is not on the node, and its pull policy is Never."),
    "InvalidImageName": ("ImagePullFailed", "{image} is not the name of an image."),
    "CrashLoopBackOff": ("CrashLoop", "The container of the image {image} ends again and again{exit}; "
                         "does the image have Ray, in the version that the cluster expects?"),
    "CreateContainerConfigError": ("PodNotCreated", "A container cannot be made ({why})."),
    "CreateContainerError": ("PodNotCreated", "A container cannot be made ({why})."),
    "RunContainerError": ("PodNotCreated", "A container cannot be started ({why})."),
}  # fmt: skip
# The kubelet says these by turns: that it has tried, and that it waits before the next time.
_WAITS_TO_PULL = "ImagePullBackOff"
_ROOT = "runAsNonRoot"
AUTOSCALER = "autoscaler"  # its container in the head pod
_GOES_ON = "the job goes on with the workers that it has."
_QUOTA = re.compile(r"exceeded quota: ([^,\"]+)(.*)", re.DOTALL)
# KubeRay puts its own word on a line before what the API server said (ray-operator/controllers/ray/utils/error.go).
_OPERATORS_WORD = re.compile(r"^Failed(Create|Delete)\w+\s*\n")
# Of a pod that never came to be; each try has another name.
_REFUSED_POD = re.compile(r"^.*?\b[Pp]od(?:s)? \"([^\"]+)\" is (?:forbidden: )?", re.DOTALL)
# Fewer ends than these happen to good containers too: a node goes, a head is made anew.
_CRASHES = 2


def of_pods(pods: Iterable[Object]) -> Problem | None:
    """The first problem that keeps one of a job's pods from running."""
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    found = [problem for pod in sorted(alive, key=lambda pod: str(pod["metadata"]["name"])) if (problem := of_pod(pod))]
    # What a container says of itself tells more than that a pod has no node.
    return next((problem for problem in found if problem.reason != "Unschedulable"), found[0] if found else None)


def of_autoscaler(pods: Iterable[Object], advice: str = _GOES_ON) -> Problem | None:
    """The problem that a head runs on without its autoscaler: Ray's second autoscaler does not start a head's
    containers again. `advice` may name the head as {pod}.
    """
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            ended = (container.get("state") or {}).get("terminated")
            if container.get("name") == AUTOSCALER and ended and not pod["metadata"].get("deletionTimestamp"):
                told = f"Ray's autoscaler has ended (status {ended.get('exitCode')}), and nobody starts it again"
                return Problem("AutoscalerEnded", f"{told}: {advice.format(pod=pod['metadata']['name'])}")
    return None


def of_pod(pod: Object) -> Problem | None:
    """The problem that keeps a pod from running."""
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if problem := _of_container(container):
            return problem
    if status.get("reason") == "Evicted":
        return Problem("Evicted", f"A pod was evicted from its node: {status.get('message', 'the node was full')}")
    if status.get("phase") == "Pending":
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return Problem("Unschedulable", _unschedulable(str(condition.get("message", ""))))
    return None


def out_of_memory(pods: Iterable[Object]) -> str | None:
    """The first of a job's pods that was killed at its limit, in a sentence."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        status = pod.get("status") or {}
        if any(_end(container).get("reason") == "OOMKilled" for container in status.get("containerStatuses") or []):
            return memory.of_pod(pod["metadata"]["name"], status.get("memory"))
    return None


def _end(container: Fields) -> Fields:
    """How a container ended last; empty if it never did."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    return dict(state.get("terminated") or last.get("terminated") or {})


def _of_container(container: Fields) -> Problem | None:
    state, ended = container.get("state") or {}, _end(container)
    if ended.get("reason") == "OOMKilled":
        return Problem("OOMKilled", "A pod used more memory than it has, and was killed; ask for more in resources.")
    waiting = state.get("waiting") or {}
    reason, again = str(waiting.get("reason")), int(container.get("restartCount") or 0)
    if ended and again >= _CRASHES and not container.get("ready") and reason not in _WAITING:
        reason = "CrashLoopBackOff"  # between two ends it runs for a moment: that is not the end of the matter
    known = _WAITING.get(reason)
    if known is None:
        return None
    code = ended.get("exitCode")
    why = _why(reason, str(waiting.get("message") or reason))
    mark = {"CrashLoop": str(again), "ImagePullFailed": "" if reason == _WAITS_TO_PULL else reason}.get(known[0], why)
    return Problem(
        known[0],
        known[1].format(image=container.get("image", "?"), why=why, exit="" if code is None else f" (status {code})"),
        mark,
    )


def _why(reason: str, message: str) -> str:
    if reason == _WAITS_TO_PULL:
        message = message.partition("ErrImagePull: ")[2] or message  # the cause follows since Kubernetes 1.31
    if _ROOT in message:
        message += "; the namespace or the registration forbids root: the image must name another user, by number"
    return _short(message)


def _unschedulable(message: str) -> str:
    """Why a pod cannot be scheduled: in our words, then the scheduler's own count."""
    lower = message.lower()
    if "persistentvolumeclaim" in lower:
        what = "A volume is not there yet: does the claim exist, and its StorageClass?"
    elif "insufficient nvidia.com/gpu" in lower or "insufficient amd.com/gpu" in lower:
        what = "No node has so many free GPUs."
    elif "insufficient memory" in lower:
        what = "No node has so much free memory."
    elif "insufficient cpu" in lower:
        what = "No node has so many free CPUs."
    elif "taint" in lower and "affinity" not in lower and "selector" not in lower:
        what = "The nodes have taints that the experiment does not tolerate."
    elif "selector" in lower or "affinity" in lower:
        what = "No node has the labels that the experiment asks for."
    else:
        what = "No node can take a pod."
    return f"{what} Kubernetes goes on trying ({_short(message)})." if message else f"{what} Kubernetes goes on trying."


def of_cluster(cluster: Object) -> Problem | None:
    """The problem that keeps a RayCluster's pods from being made at all."""
    for condition in (cluster.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return of_refusal(str(condition.get("message", "")))
    return None


def of_refusal(message: str) -> Problem:
    """The problem behind the API server's refusal of an object."""
    quota = _QUOTA.search(message)
    if quota:
        details = _short(quota[2].lstrip(", "))
        told = f"The namespace's quota {quota[1].strip()} is used up" + (f" ({details})." if details else ".")
        return Problem("QuotaExceeded", told, message)
    why = _OPERATORS_WORD.sub("", message)
    if named := _REFUSED_POD.match(why):
        why = why[named.end() :].replace(named[1], "it")
    return Problem("PodNotCreated", f"A pod cannot be made: {_short(why)}.", message)


def _short(text: str) -> str:
    return " ".join(text.split())[:400].rstrip(".")
