"""Every manifest that the code can build fits KubeRay's CRDs and the Kubernetes models, and holds no secret."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml

from submarine_ray.clusters.drivers.base import Submission
from submarine_ray.clusters.drivers.kuberay import manifests, names
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.kubernetes import JobOptions
from submarine_ray.spec.launch import Launch, Tracking
from submarine_ray.spec.plan import plan_launch
from submarine_ray.spec.quantities import Resources
from tests.kuberay import schemas
from tests.kuberay.apiserver import not_restricted

UID = "12345678-aaaa-bbbb-cccc-1234567890ab"
SECRET = "hunter2"

PODS: dict[str, Any] = {
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"},
                    {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 60}],
    "priorityClass": "high", "serviceAccount": "trainer", "imagePullSecrets": ["registry"],
    "labels": {"team": "vision", "example.com/cost": "42"}, "annotations": {"note": "any text"},
    "volumes": [
        {"name": "data", "mountPath": "/data", "claim": "datasets", "readOnly": True},
        {"name": "scratch", "mountPath": "/scratch", "newClaim": {"size": "10Gi", "storageClass": "fast"}},
        {"name": "home", "mountPath": "/home/nfs", "nfs": {"server": "10.96.0.2", "path": "/exports"}},
        {"name": "node", "mountPath": "/node", "hostPath": "/var/data"},
    ],
    "secrets": [{"name": "AWS_SECRET_ACCESS_KEY", "secret": "aws", "key": "secret"}],
}  # fmt: skip
CLUSTERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pods": {"pods": PODS, "imagePullPolicy": "Always", "pip": ["mlflow==3.17.0"]},
    "submitter": {"submissionMode": "K8sJobMode", "deletion": {"afterSeconds": 60, "failedAfterSeconds": 7200}},
    "redis": {
        "faultTolerance": {"redisAddress": "redis:6379", "redisPassword": {"secret": "redis", "key": "password"}}
    },
    "kueue": {"queueing": {"system": "kueue", "queue": "team"}},
    "volcano": {"queueing": {"system": "volcano", "queue": "team"}},
    "restricted": {"runAsNonRoot": True, "submissionMode": "K8sJobMode"},
    "yunikorn": {"queueing": {"system": "yunikorn", "queue": "root.team"}},
}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "single": {"meta": {"framework": "Python"}, "spec": {"Worker": {"resources": "cpu=500m,memory=512M"}}},
    "gpu": {"meta": {"framework": "PyTorch"}, "spec": {
        "Master": {"resources": "cpu=4,memory=16Gi,nvidia.com/gpu=1"},
        "Worker": {"replicas": 7, "resources": "cpu=4,memory=16Gi,nvidia.com/gpu=1", "image": "team/gpu:1"}}},
    "tensorflow": {"meta": {"framework": "TensorFlow"}, "spec": {
        "Chief": {"resources": "cpu=1"}, "Worker": {"replicas": 2, "resources": "cpu=2,memory=2Gi"},
        "Ps": {"replicas": 2, "resources": "cpu=1,memory=8Gi"}, "Evaluator": {"resources": "cpu=1"}}},
    "ray": {"meta": {"framework": "Ray"}, "spec": {"Worker": {"resources": "cpu=2"}}, "kubernetes": {"maxWorkers": 9}},
    "sweep": {"meta": {"framework": "Python", "cmd": "train {{lr}}"}, "spec": {"Worker": {"resources": "cpu=1"}},
              "kubernetes": {"maxWorkers": 20},
              "tune": {"searchSpace": {"lr": {"type": "uniform", "low": 0, "high": 1}}, "metric": "loss", "mode": "min",
                       "numSamples": 20, "maxConcurrentTrials": 4}},
}  # fmt: skip


def cluster(**more: Any) -> KubeRayClusterSpec:
    return KubeRayClusterSpec.model_validate({"name": "k", "kind": "kuberay", "namespace": "ml", **more})


def submission(document: dict[str, Any], options: dict[str, Any] | None = None, **more: Any) -> Submission:
    meta = {"name": "Mnist_1", "cmd": "python train.py", "envVars": {"PASSWORD": SECRET}, **document["meta"]}
    spec = ExperimentSpec.model_validate({**document, "meta": meta})
    tracking = Tracking("http://service/mlflow", "run", "1", SECRET)
    launch: Launch = plan_launch(
        spec, "experiment-1-0001", "experiment-1-0001", tracking=tracking, at_once=4 if spec.tune else 1
    )
    pods = JobOptions.model_validate({**(document.get("kubernetes") or {}), **(options or {})})
    images = {role.lower(): task.image for role, task in spec.spec.items() if task.image}
    return Submission(launch, images=images, pods=pods, **more)


@pytest.fixture(scope="module", autouse=True)
def _schemas() -> None:
    if not schemas.are_there():
        pytest.skip("KubeRay's CRDs are not at hand (../shared/kuberay-crds)")


def check(manifest: dict[str, Any]) -> None:
    assert schemas.problem(manifest["kind"], manifest) is None
    assert SECRET not in json.dumps(manifest)
    for template in templates(manifest):
        assert kubernetes_model(template) == template
    assert len(manifest["metadata"]["name"]) <= 47


def templates(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    spec = manifest["spec"]
    inner = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec
    submitter = [spec["submitterPodTemplate"]] if "submitterPodTemplate" in spec else []
    return submitter + [group["template"] for group in (inner["headGroupSpec"], *inner["workerGroupSpecs"])]


def kubernetes_model(template: dict[str, Any]) -> Any:
    """The template as the Kubernetes package's models understand it: what they do not know is dropped."""
    from kubernetes.client import ApiClient

    class Response:
        data = json.dumps(template)

    client = ApiClient()
    return client.sanitize_for_serialization(
        client.deserialize(json.dumps(template), "V1PodTemplateSpec", "application/json")
    )


@pytest.mark.parametrize(("where", "what"), list(itertools.product(CLUSTERS, EXPERIMENTS)))
def test_a_rayjob_fits(where: str, what: str) -> None:
    asked = submission(EXPERIMENTS[what], pip=("numpy",), timeout_seconds=60, owner="Ada Lovelace", team="vision")
    check(manifests.ray_job(cluster(**CLUSTERS[where]), UID, asked, "runner"))
    check(
        manifests.ray_job(
            cluster(**CLUSTERS[where]), UID, submission(EXPERIMENTS[what], PODS, conda=("pip",)), "runner"
        )
    )


@pytest.mark.parametrize("where", ["plain", "pods", "redis"])
def test_a_shared_cluster_and_an_endpoint_fit(where: str) -> None:
    workers = [{"name": "cpu", "replicas": 1, "minReplicas": 0, "maxReplicas": 5},
               {"name": "gpu", "resources": "cpu=8,memory=64Gi,nvidia.com/gpu=2", "replicas": 0, "maxReplicas": 2,
                "minReplicas": 0, "pods": {"tolerations": [{"operator": "Exists"}]}}]  # fmt: skip
    shared = cluster(**CLUSTERS[where], mode="shared", workers=workers)
    check(manifests.ray_cluster(shared, UID, "submarine-12345678", "runner"))
    config = {"applications": [{"name": "m-1", "route_prefix": "/m/1", "import_path": "serve_apps.mlflow_model:build",
                                "args": {"model_uri": "models:/m/1"}, "deployments": []}]}  # fmt: skip
    made = manifests.ray_service(
        cluster(**CLUSTERS[where]), UID, "m-1", config, (Resources(2, 0, 1), 3), "runner", ("t", "k")
    )
    check(made)
    env = {e["name"]: e for e in templates(made)[1]["spec"]["containers"][0]["env"]}
    assert env["RAY_SERVE_ENABLE_HA_PROXY"]["value"] == "1"
    assert env["MLFLOW_TRACKING_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "t", "key": "k"}


@pytest.mark.parametrize("what", EXPERIMENTS)
def test_a_namespace_that_enforces_restricted_takes_every_pod(what: str) -> None:
    made = manifests.ray_job(cluster(**CLUSTERS["restricted"]), UID, submission(EXPERIMENTS[what]), "runner")
    assert len(templates(made)) >= 2  # the submitter's too
    assert [not_restricted(template["spec"]) for template in templates(made)] == [[]] * len(templates(made))
    options = made["spec"]["rayClusterSpec"].get("autoscalerOptions")
    assert options is None or options["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    elsewhere = manifests.ray_job(cluster(), UID, submission(EXPERIMENTS[what]), "runner")
    assert {tuple(not_restricted(template["spec"])) for template in templates(elsewhere)} == {("runAsNonRoot != true",)}


def test_what_an_engineer_would_write() -> None:
    made = manifests.ray_job(
        cluster(pods={"nodeSelector": {"zone": "a"}, "labels": {"team": "x"}}), UID,
        submission(EXPERIMENTS["gpu"], {"nodeSelector": {"pool": "gpu"}, "labels": {"team": "vision"}}, owner="ada"), "r",
    )  # fmt: skip
    spec, labels = made["spec"], made["metadata"]["labels"]
    assert (spec["jobId"], spec["submissionMode"], spec["backoffLimit"]) == ("experiment-1-0001", "HTTPMode", 0)
    assert spec["shutdownAfterJobFinishes"] and spec["ttlSecondsAfterFinished"] == 3600
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert labels["team"] == "vision" and labels["submarine-ray/owner"] == "ada"
    assert labels["submarine-ray/experiment"] == "experiment-1-0001"
    master, worker = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert (master["groupName"], master["replicas"], worker["groupName"], worker["replicas"]) == (
        "master",
        1,
        "worker",
        7,
    )
    assert worker["rayStartParams"] == {"num-cpus": "4", "num-gpus": "1", "memory": str(16 * 2**30),
                                        "object-store-memory": str(2**28)}  # fmt: skip
    container = worker["template"]["spec"]["containers"][0]
    resources = container["resources"]
    assert resources["requests"] == {"cpu": "4", "memory": "17408Mi", "nvidia.com/gpu": "1"}
    assert resources["limits"] == {"memory": "17408Mi", "nvidia.com/gpu": "1"}
    assert container["image"] == "team/gpu:1" and worker["template"]["spec"]["nodeSelector"] == {
        "zone": "a",
        "pool": "gpu",
    }
    head = spec["rayClusterSpec"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0" and "launch.json" in spec["entrypoint"]
    mounts = [m["name"] for m in head["template"]["spec"]["containers"][0]["volumeMounts"]]
    assert "submarine-launch" in mounts and "submarine-launch" not in [m["name"] for m in container["volumeMounts"]]


def test_a_single_process_runs_in_the_head() -> None:
    spec = manifests.ray_job(cluster(), UID, submission(EXPERIMENTS["single"]), "r")["spec"]
    assert spec["rayClusterSpec"]["workerGroupSpecs"] == [] and spec["entrypointNumCpus"] == 0.5
    assert spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "1"


def test_pods_leave_their_processes_the_time_of_grace() -> None:
    """On a stop by Ray as where Kubernetes takes a pod away: its hook tells what runs in it, and waits."""
    for where, grace in (("single", 300), ("single", None)):
        document = {**EXPERIMENTS[where], **({"gracePeriod": grace} if grace else {})}
        made = manifests.ray_job(cluster(), UID, submission(document), "r")
        for template in templates(made):
            (container,) = template["spec"]["containers"]
            variables = {one["name"]: one.get("value") for one in container["env"]}
            seconds = (grace or 30) + 15
            assert template["spec"]["terminationGracePeriodSeconds"] == seconds
            assert variables["RAY_JOB_STOP_WAIT_TIME_S"] == str(seconds)
            hook = container["lifecycle"]["preStop"]["exec"]["command"]
            assert hook == ["python", "-m", "submarine_ray.runner.leave"]
        assert made["metadata"]["annotations"][names.GRACE_ANNOTATION] == str(grace or 30)


def test_sweeps_and_scripts_that_scale() -> None:
    sweep = manifests.ray_job(cluster(), UID, submission(EXPERIMENTS["sweep"]), "r")["spec"]["rayClusterSpec"]
    (group,) = sweep["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (4, 4, 20)
    assert sweep["enableInTreeAutoscaling"] is True
    script = manifests.ray_job(cluster(), UID, submission(EXPERIMENTS["ray"]), "r")["spec"]["rayClusterSpec"]
    (group,) = script["workerGroupSpecs"]
    assert (group["replicas"], group["maxReplicas"]) == (0, 9)
    fixed = manifests.ray_job(cluster(), UID, submission(EXPERIMENTS["single"]), "r")["spec"]["rayClusterSpec"]
    assert fixed["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_packages_travel_in_the_runtime_environment() -> None:
    asked = submission(EXPERIMENTS["single"], pip=("pandas",))
    made = manifests.ray_job(cluster(pip=["mlflow"]), UID, asked, "r")
    assert yaml.safe_load(made["spec"]["runtimeEnvYAML"]) == {"pip": ["mlflow", "pandas"]}
    asked = submission(EXPERIMENTS["single"], pip=("pandas",), conda=("gdal",))
    made = manifests.ray_job(cluster(), UID, asked, "r")
    assert yaml.safe_load(made["spec"]["runtimeEnvYAML"]) == {"conda": {"dependencies": ["gdal", {"pip": ["pandas"]}]}}


def test_names_are_what_kubernetes_takes_and_never_the_same() -> None:
    ids = ["experiment-1-0001", "experiment-1-0001-r2", "notebook_1_0001", "notebook-1-0001", "My_Model-1", "my-model-1",
           "x" * 80, "x" * 81, "1-model", "a" * 47]  # fmt: skip
    made = [names.object_name(id) for id in ids]
    assert len(set(made)) == len(ids) and all(len(name) <= 47 for name in made)
    import re

    assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) for name in made)
    assert made[0] == ids[0]


def test_an_update_keeps_what_others_have_added() -> None:
    wanted = manifests.ray_cluster(cluster(mode="shared"), UID, "shared", "runner")
    there = {"metadata": {"name": "shared", "resourceVersion": "7", "uid": "u", "finalizers": ["ray.io/gcs-ft"],
                          "labels": {"theirs": "1"}, "managedFields": [{}]}, "spec": {"old": True}}  # fmt: skip
    made = manifests.onto(there, wanted)
    assert made["spec"] == wanted["spec"] and made["metadata"]["finalizers"] == ["ray.io/gcs-ft"]
    assert made["metadata"]["labels"] == {"theirs": "1", **wanted["metadata"]["labels"]}
    assert made["metadata"]["resourceVersion"] == "7" and "managedFields" not in made["metadata"]
