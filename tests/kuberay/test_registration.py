"""Registering, checking, placing: sentences where something is wrong, and never a secret in an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from submarine_ray.admission.placement import Candidate, choose
from submarine_ray.clusters.drivers.kuberay import checks as looked_at
from submarine_ray.clusters.drivers.kuberay import ground
from submarine_ray.spec.clusters import Placement
from submarine_ray.spec.quantities import Resources
from tests.conftest import spec, wait_until
from tests.kuberay.apiserver import ENFORCE, ApiServer, not_restricted
from tests.kuberay.conftest import Kube, registration

KUBECONFIG = {
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "very-secret"}}],
    "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "one",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kubeconfig": "{"}, "is not YAML"),
        ({"kubeconfig": "a: 1"}, "is not a kubeconfig"),
        ({"context": "two"}, "has no context 'two'; it has one"),
        ({"kubeconfig": yaml.safe_dump({**KUBECONFIG, "current-context": ""})}, "no current context"),
        ({"kubeconfig": yaml.safe_dump({**KUBECONFIG, "users": [{"name": "u", "user": {"exec": {"command": "x"}}}]})},
         "starts a program"),
        ({"kubeconfig": yaml.safe_dump({**KUBECONFIG, "users": [{"name": "u", "user": {"tokenFile": "/etc/shadow"}}]})},
         "names a file"),
        ({"kubeconfig": None, "kubeconfigFile": "/etc/passwd"}, "is not below"),
        ({"kubeconfig": None, "kubeconfigFile": "~/.kube/no-such-file"}, "cannot be read"),
        ({"kubeconfig": None}, "needs a kubeconfig"),
        ({"kubeconfigFile": "/x"}, "not both"),
        ({"image": "My Image:1"}, "is not a container image"),
        ({"namespace": "No_Such"}, "cannot be the name of a Kubernetes object"),
        ({"rayVersion": "2.40.0"}, "2.52.0 or later"),
        ({"mode": "shared", "workers": [{"name": "w", "replicas": 5, "maxReplicas": 2}]}, "does not hold"),
        ({"workers": [{"name": "w"}]}, "only a shared cluster"),
        ({"head": {"resources": "cpu=lots"}}, "not a number of cores"),
        ({"pods": {"labels": {"ray.io/x": "y"}}}, "belongs to Kubernetes"),
        ({"pods": {"volumes": [{"name": "a", "mountPath": "/a", "claim": "c", "hostPath": "/x"}]}}, "exactly one"),
        ({"pods": {"volumes": [{"name": "a", "mountPath": "/etc/submarine", "claim": "c"}]}}, "platform's own"),
        ({"pods": {"volumes": [{"name": "a", "mountPath": "/dev/shm/x", "claim": "c"}]}}, "platform's own"),
        ({"pods": {"volumes": [{"name": "shm", "mountPath": "/a", "claim": "c"}]}}, "platform's own"),
        ({"pods": {"volumes": [{"name": "submarine-launch", "mountPath": "/a", "claim": "c"}]}}, "platform's own"),
        ({"kind": "nomad"}, "nomad"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_registration(api: httpx.Client, changes: dict[str, Any], words: str) -> None:
    body = {"name": "bad", "kind": "kuberay", "kubeconfig": yaml.safe_dump(KUBECONFIG), **changes}
    answer = api.post("/api/v1/cluster", json={k: v for k, v in body.items() if v is not None})
    assert answer.status_code == 400 and words in answer.json()["message"], answer.text
    assert "very-secret" not in answer.text


def test_no_answer_shows_the_kubeconfig(api: httpx.Client) -> None:
    body = {"name": "sealed", "kind": "kuberay", "kubeconfig": yaml.safe_dump(KUBECONFIG), "labels": {"zone": "a"}}
    made = api.post("/api/v1/cluster", json=body)
    assert made.status_code == 200 and made.json()["result"]["labels"] == {"zone": "a"}
    shown = api.get("/api/v1/cluster/sealed").text + api.get("/api/v1/cluster").text + made.text
    assert "very-secret" not in shown
    assert api.delete("/api/v1/cluster/sealed?force=true").status_code == 200


def checks(kube: Kube) -> dict[str, dict[str, Any]]:
    answer = kube.service.post(f"/api/v1/cluster/{kube.cluster}/check")
    assert answer.status_code == 200, answer.text
    return {one["check"]: one for one in answer.json()["result"]}


def test_a_cluster_that_is_well(kube: Kube) -> None:
    found = checks(kube)
    assert [name for name, one in found.items() if one["ok"] is False] == ["this service"]  # it listens on loopback
    assert found["rights"]["ok"] and found["KubeRay's version"]["ok"] and found["reachable"]["ok"]


def test_everything_that_lacks_is_named_with_what_to_do(make_kube: Callable[..., Kube]) -> None:
    pods = {"volumes": [{"name": "v", "mountPath": "/v", "newClaim": {"size": "1Gi", "storageClass": "golden"}},
                        {"name": "w", "mountPath": "/w", "claim": "datasets"}]}  # fmt: skip
    kube = make_kube(pods=pods, image="127.0.0.1:9/rayproject/ray:2.40.0")
    kube.server.installed -= {"rayservices"}
    kube.server.operator_image = "quay.io/kuberay/operator:v1.2.2"
    kube.server.denied |= {("create", "rayjobs"), ("delete", "secrets")}
    found = checks(kube)
    wrong = {name: one for name, one in found.items() if one["ok"] is False}
    assert "rayservices" in wrong["KubeRay's CRDs"]["message"] and "helm install" in wrong["KubeRay's CRDs"]["fix"]
    assert "v1.2.2" in wrong["KubeRay's version"]["message"] and "1.5.1" in wrong["KubeRay's version"]["fix"]
    assert (
        "create rayjobs" in wrong["rights on rayjobs"]["message"]
        and "delete secrets" in wrong["rights on secrets"]["message"]
    )
    assert "golden" in wrong["storage class golden"]["message"] and "datasets" in wrong["claim datasets"]["message"]
    assert "rayVersion" in wrong["Ray in the image"]["message"]


PROXY_RULE = '{apiGroups: [""], resources: [services/proxy], verbs: [get, create]}'


def test_a_right_on_the_proxy_is_asked_for_by_its_name(kube: Kube) -> None:
    kube.server.denied |= {("get", "services/proxy"), ("create", "services/proxy")}
    found = checks(kube)["rights on services/proxy"]
    assert found["ok"] is False and PROXY_RULE in found["fix"]
    assert found["message"] == "The service may not get, create services/proxy."


@pytest.mark.parametrize(
    ("level", "more", "ok", "words"),
    [
        (None, {}, True, "`privileged`"),
        ("restricted", {}, True, "other than root"),
        ("restricted", {"runAsNonRoot": False}, False, "pods that may be root's"),
        ("restricted", {"pods": {"volumes": [{"name": "v", "mountPath": "/v", "nfs": {"server": "s", "path": "/p"}}]}},
         False, "volume v (nfs)"),
        ("baseline", {"pods": {"volumes": [{"name": "v", "mountPath": "/v", "hostPath": "/p"}]}}, False,
         "volume v (hostPath)"),
    ],
)  # fmt: skip
def test_what_the_namespace_enforces_is_read(
    make_kube: Callable[..., Kube], level: str | None, more: dict[str, Any], ok: bool, words: str
) -> None:
    kube = make_kube(**more)
    kube.server.namespace_labels = {ENFORCE: level} if level else {}
    found = checks(kube)["pod security"]
    assert found["ok"] is ok and words in found["message"], found


def test_pods_are_made_as_the_namespace_enforces(
    make_kube: Callable[..., Kube], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "LOOK_SECONDS", 0.0)
    kube = make_kube()

    def head(id: str) -> dict[str, Any]:
        return dict(kube.job(id)["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"])

    assert "runAsNonRoot" not in head(kube.create())["securityContext"]
    kube.server.namespace_labels = {ENFORCE: "restricted"}
    before = len(kube.server.requests)
    look = f"/api/v1/namespaces/{kube.server.namespace}"
    wait_until(lambda: look in [path for _, _, path in list(kube.server.requests)[before:]], 15, "a look at the labels")
    assert not_restricted(head(kube.create())) == []


def test_a_namespace_that_is_missing_is_not_healthy(
    make_kube: Callable[..., Kube], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "LOOK_SECONDS", 0.0)
    kube = make_kube()

    def cluster() -> dict[str, Any]:
        return dict(kube.service.get(f"/api/v1/cluster/{kube.cluster}").json()["result"])

    wait_until(lambda: cluster()["healthy"], 15, "it is there")
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    kube.server.namespace_is_there = False
    wait_until(lambda: cluster()["healthy"] is False, 15, "it is gone")
    assert f"no namespace '{kube.server.namespace}' (kubectl create namespace" in cluster()["message"]
    found = checks(kube)[f"namespace {kube.server.namespace}"]
    assert found["ok"] is False and found["fix"].startswith("kubectl create namespace")
    kube.server.namespace_is_there = True
    wait_until(lambda: cluster()["healthy"], 15, "it is there again")
    assert kube.get(id)["status"] == "Running"


def test_without_the_right_to_see_its_namespace_a_cluster_works(kube: Kube) -> None:
    kube.server.denied |= {("get", "namespaces")}
    kube.job(kube.create())
    found = checks(kube)[f"namespace {kube.server.namespace}"]
    assert found["ok"] is None and "resources: [namespaces]" in found["fix"]


def test_an_unreachable_one(api: httpx.Client) -> None:
    api.post("/api/v1/cluster", json={"name": "far", "kind": "kuberay", "kubeconfig": yaml.safe_dump(KUBECONFIG)})
    (only,) = api.post("/api/v1/cluster/far/check").json()["result"]
    assert only["check"] == "reachable" and only["ok"] is False and only["fix"]
    api.delete("/api/v1/cluster/far?force=true")


def test_an_api_server_that_has_just_started_lacks_no_crds(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked_at, "CHECK_SECONDS", 0.5)

    def crds() -> dict[str, Any]:
        return checks(kube)["KubeRay's CRDs"]

    kube.server.crds_are_read = False
    assert crds()["ok"] is None and "half a minute" in crds()["fix"] and "lacks" not in crds()["message"]
    kube.server.crds_are_read = True
    assert crds()["ok"] is True
    kube.server.denied.add(("get", "discovery"))
    assert crds()["ok"] is None  # a right that is missing is no missing CRD


def test_missing_crds_are_said_on_the_experiment_too(kube: Kube) -> None:
    kube.server.installed.clear()
    id = kube.create()
    wait_until(lambda: "CRDs are not installed" in (kube.service.get(f"/api/v1/cluster/{kube.cluster}").json()["result"]["message"] or ""),
               15, "the cluster says what it lacks")  # fmt: skip
    assert kube.get(id)["status"] == "Accepted"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": {"image": "a b"}}, "environment.image"),
        ({"spec": {"Worker": {"image": "UPPER CASE"}}}, "spec.Worker.image"),
        ({"kubernetes": {"serviceAccount": "admin"}}, "allow.serviceAccounts"),
        ({"kubernetes": {"volumes": [{"name": "a", "mountPath": "/a", "hostPath": "/"}]}}, "allow.hostPaths"),
        (
            {"kubernetes": {"volumes": [{"name": "a", "mountPath": "/a", "nfs": {"server": "h", "path": "/"}}]}},
            "allow.nfs",
        ),
        ({"kubernetes": {"volumes": [{"name": "a", "mountPath": "/a", "claim": "other"}]}}, "allow.claims"),
        ({"kubernetes": {"imagePullSecrets": ["other"]}}, "allow.secrets"),
        ({"kubernetes": {"secrets": [{"name": "X", "secret": "other", "key": "k"}]}}, "allow.secrets"),
        ({"kubernetes": {"priorityClass": "system-node-critical"}}, "Kubernetes' own pods"),
        ({"kubernetes": {"labels": {"submarine-ray/x": "y"}}}, "belongs to"),
        ({"timeout": 0}, "timeout"),
        ({"placement": {"policy": "first"}}, "named already"),
    ],
)
def test_what_an_experiment_may_not_ask(kube: Kube, changes: dict[str, Any], words: str) -> None:
    answer = kube.service.post("/api/v1/experiment", json=spec(cluster=kube.cluster, **changes))
    assert answer.status_code == 400 and words in answer.json()["message"], answer.text


def test_limits_and_nodes_refuse_at_once(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(limits="cpu=8", node="cpu=4,nvidia.com/gpu=0")
    wait_until(
        lambda: kube.service.get(f"/api/v1/cluster/{kube.cluster}").json()["result"]["healthy"], 15, "it was seen"
    )
    for resources, replicas, words in (
        ("cpu=5", 1, "on one node"),
        ("cpu=4", 3, "12 CPUs"),
        ("nvidia.com/gpu=1", 1, "GPUs"),
    ):
        body = spec(cluster=kube.cluster, spec={"Worker": {"replicas": replicas, "resources": resources}})
        answer = kube.service.post("/api/v1/experiment", json=body)
        assert answer.status_code == 400 and words in answer.json()["message"], answer.text


def test_limits_queue_here(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(limits="cpu=1")
    first, second = kube.create(), kube.create()
    kube.run(first)
    wait_until(lambda: kube.get(second)["reason"] == "Queued", 15, "the second waits")
    kube.succeed(first)
    kube.job(second)


def ours(kube: Kube) -> list[str]:
    """What is there of this registration."""
    plurals = ("rayjobs", "rayclusters", "rayservices", "pods", "secrets", "configmaps")
    return [item["metadata"]["name"] for plural in plurals for item in kube.store.list(plural)[0]]


def test_a_deleted_cluster_takes_along_what_was_made_on_it(kube: Kube) -> None:
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    url = f"/api/v1/cluster/{kube.cluster}"
    refused = kube.service.delete(url)
    assert refused.status_code == 409 and "force" in refused.json()["message"]
    kube.succeed(id)
    kube.wait(id, "Succeeded")
    wait_until(lambda: kube.service.delete(url).status_code == 200, 20, "nothing runs there any more")
    wait_until(lambda: kube.service.get(url).status_code == 404, 20, "it is forgotten")
    wait_until(lambda: not ours(kube), 10, "nothing is left")


def test_a_cluster_that_is_gone_for_good(kube: Kube) -> None:
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    kube.server.go_down()
    assert kube.service.delete(f"/api/v1/cluster/{kube.cluster}").status_code == 409
    gone = kube.service.delete(f"/api/v1/cluster/{kube.cluster}?force=true").json()
    told = gone["result"]["message"]
    assert "could not be deleted" in told and f"-n {kube.server.namespace} -l submarine-ray/cluster=" in told
    ended = kube.get(id)
    assert (ended["status"], ended["reason"]) == ("Failed", "ClusterRemoved")


def test_force_takes_along_what_runs_where_the_cluster_answers(kube: Kube) -> None:
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    kube.store.create("configmaps", {"metadata": {"name": "somebody-elses"}})
    gone = kube.service.delete(f"/api/v1/cluster/{kube.cluster}?force=true").json()["result"]
    assert gone["message"].endswith("what was made there is being deleted.")
    wait_until(lambda: ours(kube) == ["somebody-elses"], 10, f"nothing of ours is left: {ours(kube)}")
    assert kube.get(id)["reason"] == "ClusterRemoved"
    assert kube.service.get(f"/api/v1/cluster/{kube.cluster}").status_code == 404


def test_the_deletion_of_one_that_does_not_answer_says_what_it_waits_for(kube: Kube) -> None:
    url = f"/api/v1/cluster/{kube.cluster}"
    id = kube.create()
    kube.run(id)
    kube.succeed(id)
    wait_until(
        lambda: not kube.store.list("rayjobs")[0], 15, "all has ended there but what the registration itself has"
    )
    experiments = kube.service.app.state.platform.experiments  # type: ignore[attr-defined]
    wait_until(lambda: not experiments.unfinished(kube.cluster), 15, "its experiments are cleaned up")
    kube.server.go_down()
    asked = kube.service.delete(url).json()["result"]
    assert asked["deleting"] and f"submarine cluster delete {kube.cluster} --force" in asked["message"]
    shown = kube.service.get(url).json()["result"]
    assert shown["deleting"] and "--force" in shown["message"] and shown["healthy"] is False
    kube.server.come_up()
    wait_until(lambda: kube.service.get(url).status_code == 404, 20, "it went when it answered again")
    wait_until(lambda: not ours(kube), 10, "nothing is left")


@pytest.fixture
def configured(tmp_path: Path, server: ApiServer) -> Iterator[httpx.Client]:
    """A service that finds a cluster's registration in its directory."""
    from fastapi.testclient import TestClient

    from submarine_ray.app import build
    from submarine_ray.core.settings import Settings

    directory = tmp_path / "cluster_configs"
    directory.mkdir()
    (directory / "a.yaml").write_text(yaml.safe_dump(registration(server, "from-file")))
    (directory / "broken.yaml").write_text("kind: [")
    app = build(
        Settings(
            home=tmp_path / "home",
            cluster_configurations=directory,
            default_cluster="from-file",
            allow_cluster_networks="127.0.0.0/8",  # type: ignore[arg-type]
        )
    )
    with TestClient(app, base_url="http://127.0.0.1:32080") as client:
        yield client


def test_registrations_from_a_directory(configured: httpx.Client, server: ApiServer) -> None:
    assert configured.get("/api/v1/cluster/from-file").json()["result"]["kind"] == "kuberay"
    id = configured.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"]
    wait_until(lambda: server.store.find("rayjobs", id), 20, "what names no cluster runs on the default one")


GIB = 2**30


def candidate(name: str, **more: Any) -> Candidate:
    size = Resources(8, 32 * GIB, 0)
    return Candidate(name, **{"healthy": True, "total": size, "largest_node": size, **more})


def place(candidates: list[Candidate], demand: Resources, **wanted: Any) -> Any:
    return choose(candidates, Placement(**wanted), [demand], demand)


def test_the_first_with_room() -> None:
    full = candidate("a", used=Resources(8))
    assert place([full, candidate("b"), candidate("c")], Resources(1)).name == "b"
    assert place([full, candidate("b", healthy=False)], Resources(1)).name == "a"  # a healthy one that is full will do
    assert place([full, candidate("b", total=None, largest_node=None)], Resources(100)).name == "b"


def test_the_least_loaded() -> None:
    clusters = [candidate("a", used=Resources(6)), candidate("b", used=Resources(2)), candidate("c", used=Resources(4))]
    assert place(clusters, Resources(1), policy="leastLoaded").name == "b"


def test_by_label_and_gpu() -> None:
    gpus = Resources(8, 32 * GIB, 4)
    clusters = [candidate("cpu"), candidate("t4", gpu_type="T4", total=gpus, largest_node=gpus, labels={"zone": "a"}),
                candidate("a100", gpu_type="A100", total=gpus, largest_node=gpus, labels={"zone": "b"})]  # fmt: skip
    assert place(clusters, Resources(1, 0, 1), gpu_type="T4").name == "t4"
    assert place(clusters, Resources(1, 0, 1), gpu_type="a100").name == "a100"
    assert place(clusters, Resources(1), labels={"zone": "b"}).name == "a100"


def test_where_none_ever_can_each_says_why() -> None:
    clusters = [candidate("cpu"), candidate("t4", gpu_type="T4", labels={"zone": "a"})]
    refused = place(clusters, Resources(1, 0, 2), labels={"zone": "a"})
    assert refused.name is None and refused.refusals["cpu"] == "its label zone is None, not 'a'"
    assert "2 GPUs where there are 0" in refused.refusals["t4"]


def test_a_placed_experiment_stays_where_it_is(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(labels={"zone": "here"})
    placed = kube.create(cluster=None, placement={"labels": {"zone": "here"}})
    assert kube.get(placed)["cluster"] == kube.cluster
    other = make_kube(labels={"zone": "there"})
    body = spec(placement={"labels": {"zone": "there"}}, meta={"name": "again", "framework": "Shell", "cmd": "true"})
    answer = kube.service.patch(f"/api/v1/experiment/{placed}", json=body)
    assert answer.status_code == 200 and kube.get(placed)["cluster"] == kube.cluster != other.cluster


def test_placement_over_rest(kube: Kube) -> None:
    body = spec(placement={"labels": {"zone": "nowhere"}})
    refused = kube.service.post("/api/v1/experiment", json=body)
    assert refused.status_code == 400 and f"{kube.cluster}: its label zone" in refused.json()["message"]
