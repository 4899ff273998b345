"""The names, labels and annotations of our objects, which tell them from those of others."""

from __future__ import annotations

import hashlib
import re

from submarine_ray.clusters.drivers.base import Submission

GROUP = "ray.io/v1"
MANAGER = "submarine-ray"
# Which registration of which platform made an object: a random id, so that two platforms may share a namespace.
CLUSTER_LABEL = "submarine-ray/cluster"
EXPERIMENT_LABEL = "submarine-ray/experiment"
NAME_LABEL = "submarine-ray/name"
OWNER_LABEL = "submarine-ray/owner"
TEAM_LABEL = "submarine-ray/team"
SUBMISSION_ANNOTATION = "submarine-ray/submission"
HASH_ANNOTATION = "submarine-ray/hash"
DELETE_AFTER_ANNOTATION = "submarine-ray/delete-after"
# How many replicas an endpoint shall have; and what of it is the same for all its sizes. Pods carry the latter too.
REPLICAS_ANNOTATION = "submarine-ray/replicas"
SHAPE_ANNOTATION = "submarine-ray/shape"
# How many seconds a job's objects stay after a success and after a failure: "0 3600".
KEEP_ANNOTATION = "submarine-ray/keep-seconds"
# The generation that an object is of: number and digest.
FENCE_ANNOTATION = "submarine-ray/fence"
GRACE_ANNOTATION = "submarine-ray/grace-seconds"
# RayJob and RayService: 47 characters at most, so that what KubeRay makes of them still fits.
LONGEST = 47


def object_name(id: str) -> str:
    """A name for Kubernetes (RFC 1035, 47 characters) made of ours; different ids have different names."""
    plain = re.sub(r"[^a-z0-9-]", "-", id.lower()).strip("-")
    if plain == id and len(plain) <= LONGEST and plain[:1].isalpha():
        return plain
    digest = hashlib.sha256(id.encode()).hexdigest()[:8]
    return f"{'x-' if not plain[:1].isalpha() else ''}{plain}"[: LONGEST - 9].rstrip("-") + f"-{digest}"


def label_value(text: str) -> str:
    """`text` as a label's value: up to 63 letters, digits and - _ . with a letter or digit at both ends."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:63].strip("-_.")


def own_labels(uid: str) -> dict[str, str]:
    """What everything of a registered cluster carries."""
    return {"app.kubernetes.io/managed-by": MANAGER, CLUSTER_LABEL: uid}


def job_labels(uid: str, submission: Submission) -> dict[str, str]:
    """What a job's objects carry."""
    launch = submission.launch
    found = {
        EXPERIMENT_LABEL: launch.experiment_id,
        NAME_LABEL: label_value(launch.name),
        OWNER_LABEL: label_value(submission.owner or ""),
        TEAM_LABEL: label_value(submission.team or ""),
    }
    return own_labels(uid) | {key: value for key, value in found.items() if value}


def selector(uid: str) -> str:
    """Chooses everything of a registered cluster."""
    return f"{CLUSTER_LABEL}={uid}"
