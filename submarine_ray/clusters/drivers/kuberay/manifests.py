"""Builds RayJob, RayCluster, RayService and their Secrets from submissions and endpoints. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence

import yaml

from submarine_ray.clusters.drivers.base import Submission
from submarine_ray.clusters.drivers.kuberay import names, pods
from submarine_ray.clusters.drivers.kuberay.objects import Fields, Metadata, Object
from submarine_ray.clusters.drivers.kuberay.pods import LAUNCH_FILE, SERVE_ENVIRONMENT, Pod
from submarine_ray.spec.clusters import KubeRayClusterSpec, WorkerGroup
from submarine_ray.spec.kubernetes import JobOptions, PodOptions
from submarine_ray.spec.launch import Launch, LaunchKind, Replica
from submarine_ray.spec.quantities import Resources, parse_resources
from submarine_ray.spec.tags import JOB_EXPERIMENT, JOB_NAME

ENTRYPOINT = f"exec python -m submarine_ray.runner --launch-file {LAUNCH_FILE}"
# The service deletes what has ended, once its log is kept. This is for the case that it is away: then KubeRay does.
UNATTENDED_SECONDS = 3600
# KubeRay's deadline counts from the start of the Ray cluster; ours from the start of the job. This one is the net.
START_ALLOWANCE_SECONDS = 900
ENDPOINT_GROUP = "model"
_QUEUE_LABELS = {
    "kueue": "kueue.x-k8s.io/queue-name",
    "volcano": "volcano.sh/queue-name",
    "yunikorn": "yunikorn.apache.org/queue",
}


def runner_map(cluster: KubeRayClusterSpec, uid: str, digest: str, content: bytes) -> Object:
    """The ConfigMap with the runner's code, for pods whose image lacks it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(runner_name(uid, digest), cluster, names.own_labels(uid)),
        "binaryData": {"runner.zip": base64.b64encode(content).decode()},
        "immutable": True,
    }


def runner_name(uid: str, digest: str) -> str:
    return f"submarine-runner-{uid[:8]}-{digest[:12]}"


def secret(cluster: KubeRayClusterSpec, name: str, labels: Mapping[str, str], data: Mapping[str, str]) -> Object:
    """A Secret; what is in it appears nowhere else."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(name, cluster, labels),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def ray_job(cluster: KubeRayClusterSpec, uid: str, submission: Submission, runner: str) -> Object:
    """The RayJob of an attempt with a Ray cluster of its own. Its launch is in the Secret of the same name."""
    launch = submission.launch
    name = names.object_name(launch.submission_id)
    labels = names.job_labels(uid, submission)
    options = pods.merged(cluster.pods, submission.pods)
    deletion = submission.pods.deletion or cluster.deletion
    keep = (deletion.seconds(failed=False), deletion.seconds(failed=True))
    spec: Fields = {
        "jobId": launch.submission_id,
        "submissionMode": cluster.submission_mode,
        "entrypoint": ENTRYPOINT,
        "metadata": {JOB_EXPERIMENT: launch.experiment_id, JOB_NAME: launch.name},
        "backoffLimit": 0,  # retries are ours: each is an attempt that users see
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": max(*keep, UNATTENDED_SECONDS),
        "rayClusterSpec": _job_cluster(cluster, submission, options, labels, name, runner),
    }
    if cluster.submission_mode == "K8sJobMode" and cluster.run_as_non_root:
        spec["submitterPodTemplate"] = _submitter(cluster, options, spec["rayClusterSpec"])
    if packages := _runtime_env(cluster, submission):
        spec["runtimeEnvYAML"] = yaml.safe_dump(packages, sort_keys=True)
    if submission.timeout_seconds:
        spec["activeDeadlineSeconds"] = submission.timeout_seconds + START_ALLOWANCE_SECONDS
    only = _only(launch)
    if only and (only.cpu or only.gpu):
        asked = {"entrypointNumCpus": only.cpu, "entrypointNumGpus": only.gpu}
        spec |= {key: value for key, value in asked.items() if value}
    metadata = _metadata(name, cluster, {**options.labels, **labels}, options.annotations)
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        names.SUBMISSION_ANNOTATION: launch.submission_id,
        names.KEEP_ANNOTATION: " ".join(map(str, keep)),
        names.GRACE_ANNOTATION: str(launch.grace_seconds),
    }
    if cluster.queueing:
        _queue(cluster, submission.pods, metadata, spec)
    return {"apiVersion": names.GROUP, "kind": "RayJob", "metadata": metadata, "spec": spec}


def ray_cluster(cluster: KubeRayClusterSpec, uid: str, name: str, runner: str) -> Object:
    """The shared, long-lived Ray cluster."""
    labels = names.own_labels(uid)
    scales = any(group.scales for group in cluster.workers)
    head = Pod(parse_resources(cluster.head.resources), cluster.image, is_head=True, offers=False, runner=runner,
               labels=labels, needs_account=scales)  # fmt: skip
    groups = [_shared_group(cluster, group, labels, runner) for group in cluster.workers]
    return _stamped({
        "apiVersion": names.GROUP,
        "kind": "RayCluster",
        "metadata": _metadata(name, cluster, {**cluster.pods.labels, **labels}, cluster.pods.annotations),
        "spec": _cluster_spec(cluster, cluster.pods, head, groups, scales),
    })  # fmt: skip


def ray_service(
    cluster: KubeRayClusterSpec, uid: str, name: str, config: Fields, size: tuple[Resources, int], runner: str,
    token: tuple[str, str] | None,
) -> Object:  # fmt: skip
    """An endpoint: `config` is Serve's, `size` what a replica asks for and how many there are, `token` opens MLflow."""
    demand, replicas = size
    labels = names.own_labels(uid)
    secrets = {"MLFLOW_TRACKING_TOKEN": token} if token else {}
    common: Fields = {"runner": runner, "labels": labels, "env": SERVE_ENVIRONMENT, "secret_env": secrets}
    head = Pod(parse_resources(cluster.head.resources), cluster.image, is_head=True, offers=False, **common)
    worker = Pod(demand, cluster.image, **common)
    applications = [_one_a_pod(_with_packages(one, cluster.pip), worker) for one in config["applications"]]
    serve = {"http_options": {"host": "0.0.0.0", "port": pods.PORTS["serve"]}, "proxy_location": "EveryNode"}  # noqa: S104
    group = _group(cluster, cluster.pods, ENDPOINT_GROUP, worker, replicas, replicas)
    ray = _cluster_spec(cluster, cluster.pods, head, [group], False)
    shape = {names.SHAPE_ANNOTATION: _shape(applications, ray)}
    for template in (ray["headGroupSpec"]["template"], group["template"]):
        template["metadata"]["annotations"] = {**template["metadata"].get("annotations", {}), **shape}
    annotations = {**cluster.pods.annotations, **shape, names.REPLICAS_ANNOTATION: str(replicas)}
    return _stamped({
        "apiVersion": names.GROUP,
        "kind": "RayService",
        "metadata": _metadata(name, cluster, {**cluster.pods.labels, **labels}, annotations),
        "spec": {
            "serveConfigV2": yaml.safe_dump({**serve, "applications": applications}, sort_keys=True),
            "upgradeStrategy": {"type": "NewCluster"},
            "rayClusterConfig": ray,
        },
    })  # fmt: skip


def resized(ray_cluster: Object, replicas: int, without: Sequence[str] = ()) -> Object:
    """An endpoint's RayCluster with another number of workers; pods in `without` are removed from it."""
    groups = [
        {**group, "replicas": replicas, "minReplicas": replicas, "maxReplicas": replicas,
         "scaleStrategy": {"workersToDelete": list(without)}}
        if group["groupName"] == ENDPOINT_GROUP else group
        for group in ray_cluster["spec"]["workerGroupSpecs"]
    ]  # fmt: skip
    return {**ray_cluster, "spec": {**ray_cluster["spec"], "workerGroupSpecs": groups}}


def offered(cluster: KubeRayClusterSpec) -> tuple[Resources, Resources]:
    """All that the shared cluster's workers can have together, and the largest of them."""
    sizes = [(_filled(parse_resources(group.resources)), group.most) for group in cluster.workers]
    total = sum((size.times(count) for size, count in sizes), Resources())
    return total, Resources(
        max(size.cpu for size, _ in sizes), max(size.memory for size, _ in sizes), max(size.gpu for size, _ in sizes)
    )


def fingerprint(manifest: Object) -> str | None:
    """A digest of what we ask for in an object, whatever defaults the API server has added to it."""
    return str((manifest["metadata"].get("annotations") or {}).get(names.HASH_ANNOTATION))


def onto(there: Object, wanted: Object) -> Object:
    """The object to write over `there`: our spec, with all metadata that others have added, finalizers among them."""
    metadata, own = there["metadata"].copy(), wanted["metadata"]
    metadata.pop("managedFields", None)
    metadata["labels"] = {**(metadata.get("labels") or {}), **(own.get("labels") or {})}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **(own.get("annotations") or {})}
    return {**wanted, "metadata": metadata}


def _job_cluster(
    cluster: KubeRayClusterSpec, submission: Submission, options: PodOptions, labels: Mapping[str, str], name: str,
    runner: str,
) -> Fields:  # fmt: skip
    """The RayCluster of a job: a head that runs a single process, or a small head and a group of workers a role."""
    launch = submission.launch
    common: Fields = {"runner": runner, "labels": labels, "grace": launch.grace_seconds}
    image = submission.image or cluster.image
    most = submission.pods.max_workers
    only = _only(launch) or (
        launch.replicas[0] if launch.framework == "Ray" and launch.kind is not LaunchKind.SWEEP else None
    )
    scales = bool(most) and (launch.framework == "Ray" or launch.kind is LaunchKind.SWEEP)
    if only is not None:
        role_image = submission.images.get(only.role, image)
        store = pods.store_for(_size(only)) if launch.framework == "Ray" else pods.STORE_BYTES
        head = Pod(_size(only), role_image, is_head=True, secret=name, needs_account=scales, store=store, **common)
        groups = []
        if scales and most:
            worker = Pod(_size(only), role_image, store=store, **common)
            groups = [_group(cluster, options, "worker", worker, 0, most)]
        return _cluster_spec(cluster, options, head, groups, scales)
    head = Pod(parse_resources(cluster.head.resources), image, is_head=True, offers=False, secret=name,
               needs_account=scales, **common)  # fmt: skip
    at_once = launch.tune.max_concurrent if launch.tune else 1
    groups = []
    for role in dict.fromkeys(replica.role for replica in launch.replicas):
        members = [replica for replica in launch.replicas if replica.role == role]
        size = _size(members[0])
        store = pods.store_for(size) if launch.kind in (LaunchKind.FUNCTION, LaunchKind.SWEEP) else pods.STORE_BYTES
        worker = Pod(size, submission.images.get(role, image), store=store, **common)
        count = len(members) * at_once
        groups.append(_group(cluster, options, role, worker, count, max(count, most or 0) if scales else count))
    return _cluster_spec(cluster, options, head, groups, scales)


def _cluster_spec(
    cluster: KubeRayClusterSpec, options: PodOptions, head: Pod, groups: list[Fields], scales: bool
) -> Fields:
    spec: Fields = {
        "rayVersion": cluster.ray_version,
        # Said in full: an empty authOptions makes the Secret and leaves the cluster open.
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": pods.start_params(head),
            "template": pods.template(cluster, options, head),
        },
        "workerGroupSpecs": groups,
    }
    if scales:
        spec["enableInTreeAutoscaling"] = True
        spec["autoscalerOptions"] = {
            "idleTimeoutSeconds": cluster.idle_seconds,
            "version": "v2",
            "securityContext": pods.CONTAINER_SECURITY,
        }
    if cluster.fault_tolerance:
        redis = cluster.fault_tolerance
        spec["gcsFaultToleranceOptions"] = {"redisAddress": redis.redis_address}
        if redis.redis_password:
            reference = {"name": redis.redis_password.secret, "key": redis.redis_password.key}
            spec["gcsFaultToleranceOptions"]["redisPassword"] = {"valueFrom": {"secretKeyRef": reference}}
    return spec


def _group(
    cluster: KubeRayClusterSpec, options: PodOptions, name: str, worker: Pod, replicas: int, most: int
) -> Fields:
    return {
        "groupName": name,
        "replicas": replicas,
        "minReplicas": min(replicas, most),
        "maxReplicas": max(replicas, most),
        "rayStartParams": pods.start_params(worker),
        "template": pods.template(cluster, options, worker),
    }


def _shared_group(cluster: KubeRayClusterSpec, group: WorkerGroup, labels: Mapping[str, str], runner: str) -> Fields:
    size = _filled(parse_resources(group.resources))
    worker = Pod(size, cluster.image, runner=runner, labels=labels, store=pods.store_for(size))
    found = _group(cluster, pods.merged(cluster.pods, group.pods), group.name, worker, group.replicas, group.most)
    return found | {"minReplicas": group.least}


def _size(replica: Replica) -> Resources:
    return Resources(replica.cpu, replica.memory, replica.gpu)


def _filled(size: Resources) -> Resources:
    return Resources(size.cpu or pods.DEFAULT_CPU, size.memory or pods.DEFAULT_MEMORY, math.ceil(size.gpu))


def _submitter(cluster: KubeRayClusterSpec, options: PodOptions, ray: Fields) -> Fields:
    """The pod that hands the job to Ray. KubeRay's own says nothing of security, and is refused where that is enforced;
    the rest is as KubeRay has it (ray-operator/controllers/ray/common/job.go), which adds the command.
    """
    head = ray["headGroupSpec"]["template"]["spec"]["containers"][0]
    container: Fields = {
        "name": "ray-job-submitter",
        **{key: head[key] for key in ("image", "imagePullPolicy") if key in head},
        "resources": {"requests": {"cpu": "500m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": pods.CONTAINER_SECURITY,
    }
    spec: Fields = {
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": pods.pod_security(cluster),
        "automountServiceAccountToken": False,
    }
    if options.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    return {"spec": spec}


def _only(launch: Launch) -> Replica | None:
    """The one replica that runs in the job's entrypoint; None if there are several processes."""
    alone = launch.kind in (LaunchKind.COMMAND, LaunchKind.NOTEBOOK) and launch.framework != "Ray"
    return launch.replicas[0] if alone else None


def _runtime_env(cluster: KubeRayClusterSpec, submission: Submission) -> Fields:
    found: Fields = {}
    if pip := [*cluster.pip, *submission.pip]:
        found["pip"] = pip
    if submission.conda:
        found["conda"] = {"dependencies": [*submission.conda, *([{"pip": pip}] if pip else [])]}
        found.pop("pip", None)  # Ray takes one of the two
    return found


def _queue(cluster: KubeRayClusterSpec, options: JobOptions, metadata: Metadata, spec: Fields) -> None:
    """Put the job under a queueing system, which admits it."""
    if cluster.queueing is None:
        return
    system, queue = cluster.queueing.system, options.queue or cluster.queueing.queue
    labels = metadata["labels"]
    labels[_QUEUE_LABELS[system]] = queue
    if system == "kueue":
        spec["suspend"] = True  # Kueue lets it go when there is room
    elif system == "volcano":
        labels["ray.io/scheduler-name"] = "volcano"
    else:
        labels |= {
            "ray.io/scheduler-name": "yunikorn",
            "ray.io/gang-scheduling-enabled": "true",
            "yunikorn.apache.org/app-id": metadata["name"],
        }


def _with_packages(application: Fields, pip: list[str]) -> Fields:
    return application | ({"runtime_env": {"pip": pip}} if pip else {})


def _one_a_pod(application: Fields, worker: Pod) -> Fields:
    """A replica that asks Ray for all CPUs of its pod: with less, several would share memory that is meant for one."""
    cpus = int(pods.start_params(worker)["num-cpus"])
    deployments = [
        one | {"ray_actor_options": {**one.get("ray_actor_options", {}), "num_cpus": cpus}}
        for one in application["deployments"]
    ]
    return application | {"deployments": deployments}


def _shape(applications: list[Fields], ray: Fields) -> str:
    """A digest of all but how many there are. Pods carry it: KubeRay starts a new cluster only where its spec differs
    in more than sizes, and Serve could not start a changed replica beside the old in pods that have room for one.
    """
    plain = [one | {"deployments": [_without(d, "num_replicas") for d in one["deployments"]]} for one in applications]
    groups = [_without(group, "replicas", "minReplicas", "maxReplicas") for group in ray["workerGroupSpecs"]]
    return _digest([plain, ray | {"workerGroupSpecs": groups}])


def _without(document: Fields, *keys: str) -> Fields:
    return {key: value for key, value in document.items() if key not in keys}


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _metadata(
    name: str, cluster: KubeRayClusterSpec, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> Metadata:
    found: Metadata = {"name": name, "namespace": cluster.namespace, "labels": dict(labels)}
    if annotations:
        found["annotations"] = dict(annotations)
    return found


def _stamped(manifest: Object) -> Object:
    metadata = manifest["metadata"]
    metadata["annotations"] = {**metadata.get("annotations", {}), names.HASH_ANNOTATION: _digest(manifest)}
    return manifest
