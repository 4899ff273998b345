"""What of a namespace an experiment may name: what its cluster's registration allows, and never what is the platform's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from submarine_ray.clusters.drivers.kuberay import allowed, checks
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.sealed import Kept
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.kubernetes import JobOptions, PodOptions
from tests.conftest import spec, wait_until
from tests.kuberay.conftest import Kube

ALLOW: dict[str, Any] = {
    "secrets": ["aws-*", "hf-token"],
    "claims": ["datasets"],
    "serviceAccounts": ["trainer"],
    "nfs": ["nfs.example.org:/exports/data*"],
    "hostPaths": ["/var/data*"],
}


def cluster(**more: Any) -> KubeRayClusterSpec:
    return KubeRayClusterSpec(name="k", kind="kuberay", **more)


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "mountPath": "/v", **source}]}


def secret(name: str) -> dict[str, Any]:
    return {"secrets": [{"name": "X", "secret": name, "key": "k"}]}


NAMING = [
    (secret("aws-reader"), "kubernetes.secrets"),
    (secret("hf-token"), "kubernetes.secrets"),
    ({"imagePullSecrets": ["aws-registry"]}, "kubernetes.imagePullSecrets"),
    ({"serviceAccount": "trainer"}, "kubernetes.serviceAccount"),
    (volume(claim="datasets"), "kubernetes.volumes.claim"),
    (volume(nfs={"server": "nfs.example.org", "path": "/exports/data-1"}), "kubernetes.volumes.nfs"),
    (volume(hostPath="/var/data/x"), "kubernetes.volumes.hostPath"),
]


@pytest.mark.parametrize(("asked", "field"), NAMING)
def test_only_what_is_listed_may_be_named(asked: dict[str, Any], field: str) -> None:
    options = JobOptions.model_validate(asked)
    refused = allowed.refusal(cluster(), options)
    assert refused and refused.field == field and "it allows none" in refused.message
    assert allowed.refusal(cluster(allow=ALLOW), options) is None
    assert allowed.refusal(cluster(trustExperiments=True), options) is None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (secret("other"), "it allows aws-*, hf-token (allow.secrets of its registration)"),
        ({"serviceAccount": "default"}, "it allows trainer"),
        (volume(nfs={"server": "nfs.example.org", "path": "/exports/data/../../etc"}), "nfs.example.org:/etc"),
        (volume(hostPath="/var/data/../../etc"), "'/etc'"),
    ],
)
def test_what_is_not_listed_is_refused_with_what_is(asked: dict[str, Any], words: str) -> None:
    refused = allowed.refusal(cluster(allow=ALLOW), JobOptions.model_validate(asked))
    assert refused and words in refused.message


@pytest.mark.parametrize(
    "name",
    ["submarine", "submarine-ray", "mariadb", "experiment-1-0001", "notebook-1-0001-r2", "digits-13-token", "redis"],
)
def test_what_is_the_platforms_own_can_never_be_named(name: str) -> None:
    redis = {"redisAddress": "r:6379", "redisPassword": {"secret": "redis", "key": "p"}}
    everything = {"allow": {"secrets": ["*"]}, "trustExperiments": True, "faultTolerance": redis}
    refused = allowed.refusal(cluster(**everything), JobOptions.model_validate(secret(name)))
    assert refused and "the platform's own" in refused.message
    claims = {"allow": {"claims": ["*"], "serviceAccounts": ["*"]}}
    for asked in (volume(claim="submarine-shared"), {"serviceAccount": "submarine"}):
        assert allowed.refusal(cluster(**claims), JobOptions.model_validate(asked))


def test_all_that_pods_can_be_given_by_name_is_looked_at() -> None:
    """A new field of a pod's options must be thought of: does it name something of the namespace?"""
    harmless = {"node_selector", "tolerations", "labels", "annotations"}
    assert set(PodOptions.model_fields) - harmless == {
        "service_account", "image_pull_secrets", "secrets", "volumes", "priority_class",
    }  # fmt: skip


@pytest.mark.parametrize("pattern", ["", "A*", "a/b", "a b", "a" * 300, "../x"])
def test_patterns_are_checked_at_registration(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"allow\.secrets"):
        cluster(allow={"secrets": [pattern]})


def test_a_secret_that_is_marked_as_the_platforms_is_refused_when_it_is_submitted(
    make_kube: Callable[..., Kube],
) -> None:
    kube = make_kube(allow=ALLOW)
    for name, metadata in {
        "aws-mine": {},
        "aws-ours": {"labels": {"app.kubernetes.io/part-of": "submarine-ray"}},
        "aws-rays": {"ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "x", "uid": "u"}]},
    }.items():
        kube.store.create("secrets", {"metadata": {"name": name, **metadata}, "type": "Opaque"})
    for name in ("aws-ours", "aws-rays"):
        id = kube.create(kubernetes=secret(name))
        ended = wait_until(lambda id=id: (found := kube.get(id))["status"] == "Failed" and found, 20, "it is refused")
        assert f"the Secret '{name}' is the platform's own" in ended["message"]
    kube.job(kube.create(kubernetes=secret("aws-mine")))
    # What was listed at the submission, and is not any more.
    platform = kube.service.app.state.platform  # type: ignore[attr-defined]
    with platform.database.session(write=True) as session:
        row = session.get(ClusterRow, kube.cluster)
        row.spec = Kept(row.spec.text.replace("aws-*", "other-*"))
    answer = kube.service.post("/api/v1/experiment", json=spec(cluster=kube.cluster, kubernetes=secret("aws-mine")))
    assert answer.status_code == 400 and "other-*" in answer.json()["message"]


@pytest.mark.parametrize(("namespace", "ok"), [("submarine", False), ("submarine-experiments", True)])
def test_a_namespace_that_is_the_services_own_is_told(
    namespace: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inside:
        in_cluster = True

    (tmp_path / "namespace").write_text("submarine\n")
    monkeypatch.setattr(checks, "OWN_NAMESPACE", tmp_path / "namespace")
    (found,) = checks._apart(Inside(), cluster(namespace=namespace))  # type: ignore[arg-type]
    assert found.ok is ok and namespace in found.message
