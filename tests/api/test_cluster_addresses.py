"""Which addresses may be registered as clusters, with nothing granted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from tests.service import without_mlflow

KUBECONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://169.254.169.254"}}],
    "users": [{"name": "u", "user": {"token": "x"}}],
    "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "one",
}
IN_A_FILE = {"name": "from-file", "kind": "ray", "address": "http://127.0.0.1:8265"}
PODS = {
    "name": "pods",
    "kind": "kuberay",
    "kubeconfig": yaml.safe_dump(KUBECONFIG).replace("169.254.169.254", "10.1.2.3"),
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    configurations: Path = tmp_path_factory.mktemp("configurations")
    (configurations / "a.yaml").write_text(yaml.safe_dump_all([IN_A_FILE, {**IN_A_FILE, "name": "b"}]))
    (configurations / "b.yaml").write_text(
        yaml.safe_dump({"name": "good", "kind": "ray", "address": "http://10.1.2.3:8265"})
    )
    (configurations / "c.yaml").write_text(
        yaml.safe_dump({**PODS, "allow": {"secrets": ["aws-*"], "nfs": ["n:/data"]}})
    )
    settings = Settings(home=tmp_path_factory.mktemp("strict"), cluster_configurations=configurations)
    return without_mlflow(build(settings), "http://127.0.0.1:32080")


@pytest.mark.parametrize(
    "body",
    [
        {"address": "http://127.0.0.1:8265"},
        {"address": "http://localhost:8265"},
        {"address": "http://2130706433:80"},
        {"address": "http://[::ffff:169.254.169.254]/"},
        {"address": "http://169.254.169.254/latest"},
        {"address": "http://0.0.0.0:6379"},
        {"address": "http://10.1.2.3:8265", "serveUrl": "http://127.0.0.1:8000"},
        {"kind": "kuberay", "kubeconfig": yaml.safe_dump(KUBECONFIG)},
        {"kind": "kuberay", "kubeconfig": yaml.safe_dump(KUBECONFIG).replace("169.254.169.254", "127.1")},
    ],
)
def test_an_address_of_this_machine_or_a_metadata_service_is_refused(strict: TestClient, body: dict[str, str]) -> None:
    answer = strict.post("/api/v1/cluster", json={"name": "inward", **body})
    assert answer.status_code == 400 and "SUBMARINE_ALLOW_CLUSTER_NETWORKS" in answer.json()["message"]
    assert strict.get("/api/v1/cluster/inward").status_code == 404


def test_a_file_with_such_an_address_is_left_out_and_the_service_starts(strict: TestClient) -> None:
    names = {one["name"] for one in strict.get("/api/v1/cluster").json()["result"]}
    assert "good" in names and not {"from-file", "b"} & names


def test_users_can_look_up_what_experiments_may_name(strict: TestClient) -> None:
    found = strict.get("/api/v1/cluster/pods").json()["result"]
    assert {kind: names for kind, names in found["allow"].items() if names} == {
        "secrets": ["aws-*"],
        "nfs": ["n:/data"],
    }
    assert "claims" in found["allow"] and found["trustExperiments"] is False
    assert strict.get("/api/v1/cluster/good").json()["result"]["allow"] is None
