"""The ready files of cluster_configs/: each is what it says it is."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from submarine_ray.clusters.drivers.kuberay.checks import RIGHTS, SIGHT
from submarine_ray.core.settings import Settings
from submarine_ray.spec.clusters import ClusterSpec
from tests.conftest import TOKEN
from tests.kuberay.apiserver import not_restricted

CONFIGS = Path(__file__).parents[2] / "cluster_configs"
BASE = CONFIGS / "kubernetes" / "base"
EXPERIMENTS = CONFIGS / "kubernetes" / "experiments"
MODELS = {
    "Namespace": "V1Namespace", "ServiceAccount": "V1ServiceAccount", "Role": "V1Role", "RoleBinding": "V1RoleBinding",
    "ConfigMap": "V1ConfigMap", "PersistentVolumeClaim": "V1PersistentVolumeClaim", "Deployment": "V1Deployment",
    "Service": "V1Service", "PodDisruptionBudget": "V1PodDisruptionBudget", "NetworkPolicy": "V1NetworkPolicy",
    "Secret": "V1Secret", "StatefulSet": "V1StatefulSet",
}  # fmt: skip


def documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_a_registration_is_valid(file: Path) -> None:
    for document in documents(file):
        TypeAdapter(ClusterSpec).validate_python(document)
    assert f"`{file.name}`" in (CONFIGS / "README.md").read_text()


@pytest.mark.parametrize(
    "file",
    sorted({*BASE.glob("*.yaml"), *EXPERIMENTS.glob("*.yaml"), *CONFIGS.glob("kubernetes/overlays/*/*.yaml")}),
    ids=lambda file: f"{file.parent.name}/{file.name}",
)
def test_a_manifest_is_what_kubernetes_knows(file: Path) -> None:
    from kubernetes.client import ApiClient

    client = ApiClient()
    for document in documents(file):
        if document["kind"] == "Kustomization":
            for resource in document["resources"]:
                assert (file.parent / resource).exists(), resource
            continue
        model = client.deserialize(json.dumps(document), MODELS[document["kind"]], "application/json")
        assert client.sanitize_for_serialization(model) == document  # what the models do not know is dropped


def test_the_role_has_just_the_verbs_that_are_used() -> None:
    role = next(document for document in documents(EXPERIMENTS / "rbac.yaml") if document["kind"] == "Role")
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"] for group in rule["apiGroups"] for resource in rule["resources"]
    }  # fmt: skip
    assert granted == {(group, resource): set(verbs) for group, resource, verbs in (*RIGHTS, SIGHT)}


def built(directory: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization, each with its namespace, as far as ours need it."""
    (kustomization,) = documents(directory / "kustomization.yaml")
    found: list[dict[str, Any]] = []
    for resource in kustomization["resources"]:
        place = (directory / resource).resolve()
        found += built(place) if place.is_dir() else documents(place)
    for one in found:
        if "namespace" in kustomization and one["kind"] != "Namespace":
            one["metadata"]["namespace"] = kustomization["namespace"]
    for patch in kustomization.get("patches", []):
        change = yaml.safe_load(patch["patch"])
        target = (change["kind"], change["metadata"]["name"], change["metadata"].get("namespace"))
        assert target in [identity(one) for one in found], f"no object for the patch of {target}"
        for one in found:
            if identity(one) == target and "data" in change:
                one["data"] |= change["data"]
    return found


def identity(one: dict[str, Any]) -> tuple[str, str, str | None]:
    return one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")


@pytest.mark.parametrize("overlay", ["kind", "production"])
def test_experiments_have_a_namespace_apart_from_the_services(overlay: str) -> None:
    made = built(CONFIGS / "kubernetes" / "overlays" / overlay)
    by_namespace: dict[str | None, set[str]] = {}
    for kind, name, namespace in map(identity, made):
        by_namespace.setdefault(namespace, set()).add(f"{kind}/{name}")
    own, theirs = "submarine", "submarine-experiments"
    assert by_namespace.pop(None) == {f"Namespace/{own}", f"Namespace/{theirs}"}
    # Nothing of the service's to mount or to act as, and the service has rights on nothing else.
    assert by_namespace.pop(theirs) == {"Role/submarine", "RoleBinding/submarine", "NetworkPolicy/submarine-ray-pods"}
    assert by_namespace.keys() == {own} and not {"Role/submarine", "RoleBinding/submarine"} & by_namespace[own]
    binding = next(one for one in made if one["kind"] == "RoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "submarine", "namespace": own}]
    registrations = next(one for one in made if one["metadata"]["name"] == "submarine-clusters")["data"]
    for text in registrations.values():
        assert TypeAdapter(ClusterSpec).validate_python(yaml.safe_load(text)).namespace == theirs  # type: ignore[attr-defined]
    labels = {one["metadata"]["name"]: one["metadata"]["labels"] for one in made if one["kind"] == "Namespace"}
    assert labels[own]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels[theirs]["pod-security.kubernetes.io/enforce"] == "baseline"


def test_the_network_lets_experiments_and_the_service_speak() -> None:
    (into_service,), (into_pods,) = (documents(place / "networkpolicy.yaml") for place in (BASE, EXPERIMENTS))

    def callers(policy: dict[str, Any]) -> list[tuple[str | None, str | None]]:
        found = []
        for rule in policy["spec"]["ingress"]:
            for peer in rule.get("from", []):
                namespace = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
                pods = peer.get("podSelector", {}).get("matchLabels", {})
                found.append((namespace, next(iter(pods.values()), None)))
        return found

    assert ("submarine-experiments", "submarine-ray") in callers(into_service)
    assert ("submarine", "submarine") in callers(into_pods)


def test_the_service_understands_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    (settings, clusters) = documents(BASE / "configmap.yaml")
    fields = {f"SUBMARINE_{name.upper()}" for name in Settings.model_fields}
    assert {*settings["data"]} <= fields
    for name, value in settings["data"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUBMARINE_TOKEN", TOKEN)
    assert Settings().default_cluster == "kubernetes" and "submarine.submarine" in Settings().allowed_hosts
    for text in clusters["data"].values():
        TypeAdapter(ClusterSpec).validate_python(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("overlay", "databases"),
    [("kind", []), ("production", ["mysql+pymysql://u:p@db:3306/submarine", "mysql+pymysql://u:p@db:3306/mlflow"])],
)
def test_each_overlay_has_a_token_of_its_own(
    overlay: str, databases: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONFIGS / "kubernetes", tmp_path / "kubernetes", ignore=shutil.ignore_patterns("secret.env"))
    made = tmp_path / "kubernetes" / "overlays" / overlay / "secret.env"
    command = ["sh", str(tmp_path / "kubernetes" / "make-secret.sh"), overlay, *databases]
    subprocess.run(command, check=True, timeout=20)
    assert made.stat().st_mode & 0o077 == 0
    written = dict(line.split("=", 1) for line in made.read_text().splitlines())
    for name, value in written.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUBMARINE_HOST", "0.0.0.0")  # as in the image
    settings = Settings()
    assert settings.token and settings.secret_key and settings.sqlalchemy_url.startswith("mysql+pymysql://")
    kustomization = yaml.safe_load((made.parent / "kustomization.yaml").read_text())
    generated = {"name": "submarine", "namespace": "submarine", "envs": ["secret.env"]}
    assert kustomization["secretGenerator"] == [generated]
    again = subprocess.run(command, capture_output=True, timeout=20)
    assert again.returncode == 1 and b"is there already" in again.stderr
    for wrong in ([], ["prod"], ["kind", "x"], ["production", "mysql://db"]):
        refused = subprocess.run([*command[:2], *wrong], capture_output=True, timeout=20)
        assert refused.returncode == 2 and b"production DATABASE_URL MLFLOW_DATABASE_URL" in refused.stderr


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("ray/*.yaml")), ids=lambda file: file.name)
def test_a_launcher_file_is_what_ray_knows(file: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (document,) = documents(file)
    validate_config(prepare_config(document))
    commands = " ".join(document["head_start_ray_commands"] + document["worker_start_ray_commands"])
    assert commands.count("RAY_AUTH_MODE=token") == 2


def test_our_own_pods_may_run_where_restricted_is_enforced() -> None:
    files = [BASE / "deployment.yaml", *CONFIGS.glob("kubernetes/overlays/*/*.yaml")]
    kinds = ("Deployment", "StatefulSet")
    made = [one for file in files for one in documents(file) if one["kind"] in kinds]
    lacks = {one["metadata"]["name"]: not_restricted(one["spec"]["template"]["spec"]) for one in made}
    assert lacks == {"submarine": [], "mariadb": []}


def test_the_images_are_pinned_and_unprivileged() -> None:
    text = (CONFIGS.parent / "Dockerfile").read_text()
    assert "USER 10001" in text and ":latest" not in text and "constraints.txt" in text
    (deployment,) = documents(BASE / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
