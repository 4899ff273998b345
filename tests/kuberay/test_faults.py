"""What goes wrong between the service and Kubernetes; the test plays operator, the service is real."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from submarine_ray.clusters.drivers.base import AlreadySubmitted, Fence, Submission, Unreachable
from submarine_ray.clusters.drivers.kuberay import leavings, names, namespace, silence, status_verifier
from submarine_ray.clusters.drivers.kuberay.api import KubeApi
from submarine_ray.clusters.drivers.kuberay.credentials import Credentials
from submarine_ray.clusters.drivers.kuberay.dedicated import DedicatedClusters
from submarine_ray.clusters.drivers.kuberay.namespace import DriverContext, Namespace
from submarine_ray.core.clock import due_ms
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.launch import Launch, Replica
from tests.conftest import wait_until
from tests.kuberay.apiserver import ApiServer, Refused, now
from tests.kuberay.conftest import NO_LAUNCHES, Kube, dedicated, kubeconfig_file
from tests.kuberay.heads import ScriptedHead
from tests.packages import packages_at


def test_from_accepted_to_gone(kube: Kube) -> None:
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    kube.head.logs[id] = "[worker-0] hello\n"
    kube.succeed(id)
    kube.wait(id, "Succeeded")
    wait_until(lambda: kube.store.find("rayjobs", id) is None, 15, "the RayJob is deleted once its log is kept")
    log = kube.service.get(f"/api/v1/experiment/logs/{id}").json()["result"]["logContent"]
    assert [pod["podLog"] for pod in log] == [["hello"]]
    wait_until(lambda: not any(kube.store.list(plural)[0] for plural in ("secrets", "rayclusters", "pods")), 10,
               "what the RayJob owned is collected")  # fmt: skip


@pytest.mark.long
def test_the_api_server_is_gone_for_half_a_minute(kube: Kube) -> None:
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    kube.server.go_down()
    waiting = kube.create()
    time.sleep(30)  # what is tested is that nothing happens
    assert (kube.get(id)["status"], kube.get(waiting)["status"]) == ("Running", "Accepted")
    kube.succeed(id)
    kube.server.come_up()
    kube.wait(id, "Succeeded", 20)
    kube.job(waiting, 20)


def test_a_watch_that_is_too_old_begins_anew(kube: Kube) -> None:
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    for _ in range(3):
        kube.store.compact()
        kube.store.create("configmaps", {"metadata": {"name": f"other-{time.time_ns()}"}})
    kube.succeed(id)
    kube.wait(id, "Succeeded")


def test_busy_answers_and_broken_connections_lose_nothing(kube: Kube) -> None:
    busy = [Refused(429, "TooManyRequests", "slow down", {"Retry-After": "1"}), Refused(500, "InternalError", "etcd"),
            Refused(503, "ServiceUnavailable", "apiserver is shutting down")]  # fmt: skip
    kube.server.fail_next.extend(busy)
    id = kube.create()
    kube.run(id)
    kube.server.go_down()
    kube.server.come_up()
    kube.succeed(id)
    kube.wait(id, "Succeeded", 20)
    assert kube.get(id)["attempt"] == 1


def test_a_restarted_head_has_lost_the_job(kube: Kube) -> None:
    """As in kuberay #1489 and #3903: the status stays Running, though nobody runs it any more."""
    id = kube.create(maxRetries=1)
    cluster = kube.run(id)
    kube.wait(id, "Running")
    kube.head.jobs.clear()
    kube.ready(cluster, False)
    retried = wait_until(lambda: kube.store.find("rayjobs", f"{id}-r2"), 15, "a new attempt")
    assert retried["spec"]["jobId"] == f"{id}-r2"
    assert "lost" in kube.reasons(id)
    wait_until(lambda: kube.store.find("rayjobs", id) is None, 15, "the old attempt's RayJob is gone")


def test_the_operator_starts_the_attempt_again_before_we_notice(
    kube: Kube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In HTTPMode it submits once more what the head has forgotten, three seconds later and under the same id."""
    from submarine_ray.runner import ledger
    from submarine_ray.runner.__main__ import main

    monkeypatch.setattr(status_verifier, "LOOK_MS", 100)
    monkeypatch.setattr(ledger, "_answer", lambda asked: kube.service.post(asked.full_url).json()["result"])
    marks, file = tmp_path / "marks", tmp_path / "launch.json"
    id = kube.create(maxRetries=1, meta={"name": "test", "framework": "Shell", "cmd": f"echo ran >> {marks}"})
    cluster = kube.run(id)
    kube.wait(id, "Running")
    file.write_text(json.dumps(launch_of(kube, id) | {"work_dir": str(tmp_path / "work"), "tracking": None}))
    assert main(["--launch-file", str(file)]) == 0  # and while it runs, the head is lost with all it knew
    kube.head.jobs.clear()
    kube.head.set(id, "RUNNING")  # the operator was faster than we
    kube.ready(cluster, False)
    assert main(["--launch-file", str(file)]) == 214
    assert "it has begun before" in capsys.readouterr().out and marks.read_text() == "ran\n"
    said = "Job entrypoint command failed with exit code 214, last available logs:\n[submarine] the attempt failed: ..."
    kube.head.set(id, "FAILED", message=said, driver_exit_code=214)
    kube.status(id, jobDeploymentStatus="Failed", jobStatus="FAILED", reason="AppFailed", message=said)
    kube.job(f"{id}-r2")
    assert "lost" in kube.reasons(id)
    assert main(["--launch-file", str(file)]) == 214  # nor when we were faster
    assert marks.read_text() == "ran\n"


def test_a_head_that_comes_back_with_its_jobs_has_lost_nothing(kube: Kube) -> None:
    id = kube.create()
    cluster = kube.run(id)
    kube.wait(id, "Running")
    kube.ready(cluster, False)
    time.sleep(1)
    kube.ready(cluster, True)
    kube.succeed(id)
    kube.wait(id, "Succeeded")
    assert "lost" not in kube.reasons(id)


def test_a_head_that_stays_away_is_given_up(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_verifier, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr(status_verifier, "LOOK_MS", 200)
    id = kube.create()
    cluster = kube.run(id)
    kube.wait(id, "Running")
    del kube.server.upstreams[f"{cluster}-head-svc"]
    kube.ready(cluster, False)
    ended = kube.wait(id, "Failed", 20)
    assert ended["reason"] == "lost" and "HeadUnreachable" in kube.reasons(id)


def test_heads_that_are_away_are_asked_side_by_side(server: ApiServer, tmp_path: Path) -> None:
    """A head that hangs takes as long as a request may: hundreds of them must not take hundreds of times that."""
    at, driver = dedicated(server, tmp_path)
    head = ScriptedHead()
    token = {"auth_token": base64.b64encode(head.token.encode()).decode()}
    meta = {"labels": {names.CLUSTER_LABEL: at.uid}, "annotations": {}}
    ids = [f"job-{number}" for number in range(4)]
    for id in ids:
        server.store.create("rayclusters", {"metadata": {**meta, "name": f"{id}-ray"}, "spec": {}})
        server.store.create("secrets", {"metadata": {"name": f"{id}-ray"}, "data": token})
        server.upstreams[f"{id}-ray-head-svc"] = head.address
        head.set(id, "RUNNING")
        status = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "rayClusterName": f"{id}-ray"}
        server.store.create("rayjobs", {"metadata": {**meta, "name": id}, "spec": {}, "status": status})
    wait_until(lambda: len(at.jobs.objects()) == len(at.clusters.objects()) == len(ids), 5, "the watches show all")
    together, look = threading.Barrier(len(ids)), head._look

    def answered_together(method: str, path: str) -> tuple[int, object]:
        together.wait(10)  # breaks if the others are asked only after this one
        return look(method, path)

    head._look = answered_together  # type: ignore[method-assign]
    assert list(driver.observe(ids)) == ids
    assert not together.broken
    driver.close()


def test_a_live_job_is_not_failed_with_its_submitter(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    """kuberay #5100."""
    monkeypatch.setattr(status_verifier, "LOOK_MS", 100)
    id = kube.create()
    kube.run(id)
    kube.wait(id, "Running")
    kube.status(id, jobDeploymentStatus="Failed", reason="SubmissionFailed", message="submitter pod failed")
    time.sleep(1.5)
    assert kube.get(id)["status"] == "Running"
    kube.head.set(id, "SUCCEEDED", end_time=int(time.time() * 1000))
    kube.wait(id, "Succeeded")


def test_a_submission_that_never_reached_ray_is_retried(kube: Kube) -> None:
    id = kube.create(maxRetries=1)
    kube.start(id)
    kube.status(id, jobDeploymentStatus="Failed", reason="SubmissionFailed", message="no route to host")
    kube.job(f"{id}-r2")


def test_a_deadline_of_kuberays_stops_the_job_too(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_verifier, "LOOK_MS", 100)
    id = kube.create(timeout=3600)
    kube.run(id)
    assert kube.job(id)["spec"]["activeDeadlineSeconds"] > 3600
    kube.wait(id, "Running")
    kube.status(id, jobDeploymentStatus="Failed", reason="DeadlineExceeded", jobStatus="PENDING")
    ended = kube.wait(id, "Failed")
    assert ended["reason"] == "Timeout" and kube.head.stopped == [id]


def test_our_own_timeout(kube: Kube) -> None:
    id = kube.create(timeout=1)
    kube.run(id)
    wait_until(lambda: kube.head.stopped, 15, "Ray is asked to stop")
    kube.status(id, jobDeploymentStatus="Complete", jobStatus="STOPPED")
    assert kube.wait(id, "Failed")["reason"] == "Timeout"


def test_a_rayjob_deleted_behind_our_back(kube: Kube) -> None:
    id = kube.create(maxRetries=1)
    kube.run(id)
    kube.wait(id, "Running")
    kube.store.delete("rayjobs", id)
    kube.job(f"{id}-r2")
    kube.store.delete("rayjobs", f"{id}-r2")
    assert kube.wait(id, "Failed")["reason"] == "lost"


def test_a_leaked_cluster_is_collected_and_others_are_not(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leavings, "LEAK_SECONDS", 0.5)
    id = kube.create()
    kube.run(id)
    labels = kube.job(id)["metadata"]["labels"]
    owner = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": "gone", "uid": "gone"}
    kube.store.create(
        "rayclusters", {"metadata": {"name": "leaked", "labels": labels, "ownerReferences": [owner]}, "spec": {}}
    )
    kube.store.create("rayclusters", {"metadata": {"name": "somebody-elses", "labels": {}}, "spec": {}})
    wait_until(lambda: kube.store.find("rayclusters", "leaked") is None, 20, "the leaked cluster is deleted")
    assert kube.store.find("rayclusters", "somebody-elses") and kube.store.find("rayclusters", f"{id}-abcde")


def test_the_garbage_collector_has_its_time(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray cluster is there for some seconds after its RayJob, however old it is: that is no leak."""
    driver = driver_on(Credentials(text=yaml.safe_dump(server.kubeconfig())), tmp_path)
    labels = {"submarine-ray/cluster": "uid-1", "submarine-ray/experiment": "e"}
    made = server.store.create("rayclusters", {"metadata": {"name": "old", "labels": labels}, "spec": {}})
    made["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    server.store.patch("rayclusters", "old", {"metadata": made["metadata"]})
    wait_until(lambda: driver._at.clusters.get("old"), 10, "it is seen")
    driver.maintain(Fence())
    assert server.store.find("rayclusters", "old")
    monkeypatch.setattr(leavings, "LEAK_SECONDS", 0.0)
    driver.maintain(Fence())
    assert server.store.find("rayclusters", "old") is None
    driver.close()


def test_that_nobody_acts_on_a_job_is_said(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "PATIENCE_SECONDS", 1.0)
    id = kube.create()
    wait_until(lambda: "OperatorSilent" in kube.reasons(id), 15, "that the operator is silent is said")
    assert "its operator is down, or does not watch the namespace 'ml'" in kube.get(id)["message"]
    kube.run(id)
    kube.wait(id, "Running")


def test_a_deletion_that_the_operator_holds_up_ends_the_job_all_the_same(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "PATIENCE_SECONDS", 1.0)
    id = kube.create()
    cluster = kube.start(id, ready=False)
    kube.store.patch("rayjobs", id, {"metadata": {"finalizers": ["ray.io/rayjob-finalizer"]}})
    kube.service.post(f"/api/v1/experiment/{id}/stop")
    assert kube.wait(id, "Failed", 20)["reason"] == "Stopped"  # for the user at once: it had not begun
    wait_until(lambda: kube.store.find("rayclusters", cluster) is None, 20, "its pods go all the same")
    assert kube.store.find("rayjobs", id)
    kube.store.patch("rayjobs", id, {"metadata": {"finalizers": None}})  # the operator is back
    wait_until(lambda: kube.store.find("rayjobs", id) is None, 10, "it goes")


def test_a_job_that_somebody_deletes_while_the_operator_is_away_goes_on(
    kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "PATIENCE_SECONDS", 3600.0)
    id = kube.create(maxRetries=1)
    kube.run(id)
    kube.wait(id, "Running")
    kube.store.patch("rayjobs", id, {"metadata": {"finalizers": ["ray.io/rayjob-finalizer"]}})
    kube.store.delete("rayjobs", id)
    time.sleep(1)  # what is tested is that nothing happens
    assert (kube.get(id)["status"], kube.get(id)["attempt"]) == ("Running", 1)
    kube.store.patch("rayjobs", id, {"metadata": {"finalizers": None}})
    kube.job(f"{id}-r2")


def test_an_autoscaler_that_has_ended_is_said_of_a_job_that_runs(kube: Kube) -> None:
    id = kube.create()
    cluster = kube.run(id)
    kube.wait(id, "Running")
    ended = {"terminated": {"reason": "Error", "exitCode": 1}}
    containers = [{"name": "ray-head", "image": "x", "ready": True, "state": {"running": {"startedAt": now()}}},
                  {"name": "autoscaler", "image": "x", "ready": False, "state": ended}]  # fmt: skip
    kube.store.patch("pods", f"{cluster}-head", {"status": {"phase": "Running", "containerStatuses": containers}}, True)
    kube.status(id, message="something new")
    wait_until(lambda: "AutoscalerEnded" in kube.reasons(id), 10, "that no workers will come is said")
    assert kube.get(id)["status"] == "Running" and "(status 1)" in kube.get(id)["message"]


def test_a_full_quota_is_said_and_waited_for(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "QUOTA_PAUSE_MS", 1_500)
    kube.store.quota["rayjobs"] = 0
    id = kube.create()
    wait_until(lambda: "QuotaExceeded" in kube.reasons(id), 10, "the quota is said")
    before = kube.server.count("POST", "/rayjobs")
    time.sleep(4)
    assert kube.server.count("POST", "/rayjobs") - before <= 4  # no hot loop
    assert kube.reasons(id).count("QuotaExceeded") == 1 and kube.get(id)["status"] == "Accepted"
    del kube.store.quota["rayjobs"]
    kube.run(id)
    kube.wait(id, "Running")


def test_a_missing_right_is_named(kube: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "RIGHTS_PAUSE_MS", 500)
    kube.server.denied.add(("create", "rayjobs"))
    id = kube.create()
    wait_until(lambda: "Forbidden" in kube.reasons(id), 10, "the right is asked for")
    assert "cannot create" in kube.get(id)["message"] and "rayjobs" in kube.get(id)["message"]
    kube.server.denied.clear()
    kube.job(id)


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ({"phase": "Pending", "containerStatuses": [{"name": "ray-head", "image": "nobody/nothing:1", "state": {"waiting": {
            "reason": "ImagePullBackOff", "message": 'Back-off pulling image "nobody/nothing:1"'}}}]},
         "ImagePullFailed", "nobody/nothing:1 cannot be fetched"),
        ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}]},
         "Unschedulable", "No node has so many free GPUs"),
        ({"phase": "Running", "containerStatuses": [{"name": "ray-head", "image": "x", "state": {"waiting": {
            "reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "Error", "exitCode": 127}}}]},
         "CrashLoop", "ends again and again (status 127)"),
        ({"phase": "Running", "containerStatuses": [{"name": "ray-head", "image": "x", "state": {"running": {}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
         "OOMKilled", "more memory than it has"),
    ],
)  # fmt: skip
def test_what_keeps_pods_from_running_is_said(kube: Kube, status: dict[str, object], reason: str, words: str) -> None:
    id = kube.create()
    cluster = kube.start(id, ready=False)
    kube.store.patch("pods", f"{cluster}-head", {"status": status}, status=True)
    wait_until(lambda: reason in kube.reasons(id), 10, "the problem is told")
    assert words in kube.get(id)["message"] and kube.get(id)["status"] == "Created"
    kube.store.patch("pods", f"{cluster}-head", {"status": {"phase": "Running", "containerStatuses": None,
                                                            "conditions": None}}, status=True)  # fmt: skip
    wait_until(lambda: "Resolved" in kube.reasons(id), 10, "that it has passed is told")


OOM_KILLED = {"phase": "Running", "containerStatuses": [{"name": "ray", "image": "x", "state": {"running": {}},
              "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}  # fmt: skip


def test_a_pod_that_ran_out_of_memory_is_the_reason_and_not_tried_again(kube: Kube) -> None:
    """Ray only knows that a process is gone; with a head that was made anew, KubeRay knows nothing at all."""
    gang, alone, other = (kube.create(maxRetries=3) for _ in range(3))
    clusters = {id: kube.run(id) for id in (gang, alone, other)}
    for id in clusters:
        kube.wait(id, "Running")
    said = "[submarine] worker-1 failed: its worker process or node died (the actor is dead)"
    for id in (gang, alone):
        pod = f"{clusters[id]}-head"
        limits = [{"name": "ray", "resources": {"limits": {"memory": "3072Mi"}}}]
        kube.store.patch("pods", pod, {"spec": {"containers": limits}})
        kube.store.patch("pods", pod, {"status": OOM_KILLED}, status=True)
    for id in (gang, other):
        kube.head.set(
            id, "FAILED", message=f"Job entrypoint command failed with exit code 1:\n{said}", driver_exit_code=1
        )
        kube.status(id, jobDeploymentStatus="Failed", jobStatus="FAILED", reason="AppFailed")
    del kube.head.jobs[alone]
    kube.ready(clusters[alone], False)
    for id in (gang, alone):
        ended = kube.wait(id, "Failed")
        assert (ended["reason"], ended["attempt"]) == ("OutOfMemory", 1)
        assert f"the pod {clusters[id]}-head was killed at its limit of 3072Mi" in ended["message"]
        assert "OutOfMemory" in kube.reasons(id)
    kube.job(f"{other}-r2")  # why its worker died nobody knows


def test_pods_that_the_quota_forbids(kube: Kube) -> None:
    id = kube.create()
    cluster = kube.start(id, ready=False)
    message = 'pods "x" is forbidden: exceeded quota: team, requested: limits.memory=4Gi, used: 8Gi, limited: 8Gi'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreateHeadPod", "message": message}
    kube.store.patch("rayclusters", cluster, {"status": {"conditions": [condition]}}, status=True)
    wait_until(lambda: "QuotaExceeded" in kube.reasons(id), 10, "the quota is said")
    assert "quota team is used up" in kube.get(id)["message"]


def test_what_is_tried_again_and_again_is_one_event_with_a_number(kube: Kube) -> None:
    id = kube.create()
    cluster = kube.start(id, ready=False)

    def times() -> list[int]:
        return [event["count"] for event in kube.events(id) if event["reason"] == "PodNotCreated"]

    for pod in range(12):
        text = (
            f'FailedCreateHeadPod\npods "{cluster}-head-{pod}" is forbidden: violates PodSecurity "restricted:latest"'
        )
        condition = {"type": "ReplicaFailure", "status": "True", "message": text}
        kube.store.patch("rayclusters", cluster, {"status": {"conditions": [condition]}}, status=True)
        wait_until(lambda number=pod + 1: times() == [number], 10, f"time {pod + 1} is one more of the same")
    last = kube.events(id)[-1]
    assert last["message"] == kube.get(id)["message"] == (
        'A pod cannot be made: violates PodSecurity "restricted:latest".'
    ) and last["lastTime"] >= last["time"]  # fmt: skip


def test_stop_and_delete_in_each_phase(kube: Kube) -> None:
    starting, running, deleted = kube.create(), kube.create(), kube.create()
    kube.start(starting, ready=False)
    kube.run(running)
    kube.run(deleted)
    for id in (running, deleted):
        kube.wait(id, "Running")
    kube.service.post(f"/api/v1/experiment/{starting}/stop")
    assert kube.wait(starting, "Failed")["reason"] == "Stopped"
    wait_until(lambda: kube.store.find("rayjobs", starting) is None, 15, "its RayJob goes: the pods need not come")
    kube.service.post(f"/api/v1/experiment/{running}/stop")
    wait_until(lambda: running in kube.head.stopped, 10, "Ray is asked first, so that the job can end well")
    kube.status(running, jobDeploymentStatus="Complete", jobStatus="STOPPED")
    kube.wait(running, "Failed")
    kube.service.delete(f"/api/v1/experiment/{deleted}")
    wait_until(lambda: deleted in kube.head.stopped, 10, "the deleted one is stopped")
    kube.status(deleted, jobDeploymentStatus="Complete", jobStatus="STOPPED")
    wait_until(lambda: not kube.store.list("rayjobs")[0], 15, "nothing is left")


def test_pods_of_failures_stay_as_long_as_asked(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(deletion={"afterSeconds": 0, "failedAfterSeconds": 600})
    good, bad = kube.create(), kube.create()
    for id in (good, bad):
        kube.run(id)
        kube.wait(id, "Running")
    kube.succeed(good)
    kube.head.set(bad, "FAILED", message="Job entrypoint command failed with exit code 3", driver_exit_code=3)
    kube.status(bad, jobDeploymentStatus="Failed", jobStatus="FAILED", reason="AppFailed")
    assert kube.wait(bad, "Failed")["message"] == "The command exited with status 3."
    wait_until(lambda: kube.store.find("rayjobs", good) is None, 15, "the good one is gone")

    def goes_ms() -> int:
        return int(kube.store.get("rayjobs", bad)["metadata"]["annotations"].get(names.DELETE_AFTER_ANNOTATION, 0))

    wait_until(goes_ms, 15, "it is noted when the bad one goes")
    assert 500_000 < goes_ms() - due_ms() <= 600_000
    noted = {names.DELETE_AFTER_ANNOTATION: str(due_ms())}  # ten minutes later
    kube.store.patch("rayjobs", bad, {"metadata": {"annotations": noted}})
    wait_until(lambda: kube.store.find("rayjobs", bad) is None, 20, "the bad one goes later")


def launch_of(kube: Kube, id: str) -> dict[str, object]:
    """What the runner will find in its pod."""
    secret = wait_until(lambda: kube.store.find("secrets", id), 15, "the launch")
    return dict(json.loads(base64.b64decode(secret["data"]["launch.json"])))


def test_checkpoints_go_where_the_registration_says(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(storage="s3://bucket/checkpoints/")
    id = kube.create()
    assert launch_of(kube, id)["storage_dir"] == f"s3://bucket/checkpoints/{id}"


def test_uploaded_code_is_fetched_from_the_service(kube: Kube) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("train.py", "print(1)")
    headers = {"Content-Type": "application/zip"}
    url = kube.service.put("/api/v1/package", content=content.getvalue(), headers=headers).json()["result"]["url"]
    id = kube.create(code={"syncMode": "package", "url": url})
    code = launch_of(kube, id)["code"]
    assert isinstance(code, dict) and code["mode"] == "download"
    path = code["url"].removeprefix("http://127.0.0.1:32080")
    assert kube.service.get(path).content == content.getvalue()
    assert kube.service.get("/api/v1/package/nothing").status_code == 404


def test_a_queue_that_suspends(make_kube: Callable[..., Kube]) -> None:
    kube = make_kube(queueing={"system": "kueue", "queue": "team-a"})
    id = kube.create()
    job = kube.job(id)
    assert job["spec"]["suspend"] is True and job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    kube.status(id, jobDeploymentStatus="Suspended")
    wait_until(lambda: kube.get(id)["reason"] == "Queued", 10, "that it waits is said")
    kube.store.patch("rayjobs", id, {"spec": {"suspend": False}})
    kube.run(id)
    kube.wait(id, "Running")


def driver_on(source: Credentials, tmp_path: Path) -> DedicatedClusters:
    spec = KubeRayClusterSpec(name="k", kind="kuberay", namespace="ml")
    context = DriverContext(
        spec, "uid-1", KubeApi(source, 5), packages_at(tmp_path / "packages"), 5, NO_LAUNCHES, lambda ids: None
    )
    return DedicatedClusters(Namespace(context))


def submission(id: str = "experiment-1-0001") -> Submission:
    return Submission(Launch(id, id, "test", "Shell", (Replica("worker", 0, "true", True, cpu=1.0),)))


def test_two_control_services_make_one_rayjob(server: ApiServer, tmp_path: Path) -> None:
    text = yaml.safe_dump(server.kubeconfig())
    drivers = [driver_on(Credentials(text=text), tmp_path / str(i)) for i in range(4)]
    outcomes: list[str] = []

    def submit(driver: DedicatedClusters) -> None:
        try:
            driver.submit(submission())
            outcomes.append("made")
        except AlreadySubmitted:
            outcomes.append("there")

    threads = [threading.Thread(target=submit, args=(driver,)) for driver in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["made", "there", "there", "there"] and len(server.store.list("rayjobs")[0]) == 1
    assert all(driver.observe(["experiment-1-0001"]) for driver in drivers)  # none thinks that it is lost
    for driver in drivers:
        driver.close()


def test_what_is_gone_does_not_come_back_with_a_late_answer(server: ApiServer, tmp_path: Path) -> None:
    spec = KubeRayClusterSpec(name="k", kind="kuberay", namespace="ml")
    api = KubeApi(Credentials(text=yaml.safe_dump(server.kubeconfig())), 5)
    at = Namespace(
        DriverContext(spec, "uid-1", api, packages_at(tmp_path / "packages"), 5, NO_LAUNCHES, lambda ids: None)
    )
    driver = DedicatedClusters(at)
    driver.submit(submission())
    made = server.store.get("rayjobs", "experiment-1-0001")
    server.store.delete("rayjobs", "experiment-1-0001")
    wait_until(lambda: not driver.observe(["experiment-1-0001"]), 10, "the watch tells that it is gone")
    at.jobs.put(made)
    assert not driver.observe(["experiment-1-0001"])
    driver.close()


def test_a_token_file_that_rotates(server: ApiServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    server.tokens = {"first"}
    file = kubeconfig_file(tmp_path, server.kubeconfig(user={"tokenFile": str(token)}))
    driver = driver_on(Credentials(file=file), tmp_path)
    driver.submit(submission())
    token.write_text("second")
    server.tokens = {"second"}
    driver.submit(submission("experiment-1-0002"))
    server.go_down()
    server.come_up()
    wait_until(lambda: len(driver.observe(["experiment-1-0001", "experiment-1-0002"])) == 2, 15, "the watch goes on")
    driver.close()


def test_an_exec_plugin(server: ApiServer, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.sh"
    plugin.write_text(
        '#!/bin/sh\necho \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", '
        '"status": {"token": "\'$(cat ' + str(tmp_path / "now") + ")'\"}}'\n"
    )
    plugin.chmod(0o755)
    (tmp_path / "now").write_text("from-plugin-1")
    server.tokens = {"from-plugin-1"}
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    driver = driver_on(Credentials(file=kubeconfig_file(tmp_path, server.kubeconfig(user=user))), tmp_path)
    driver.submit(submission())
    (tmp_path / "now").write_text("from-plugin-2")
    server.tokens = {"from-plugin-2"}
    driver.submit(submission("experiment-1-0002"))
    driver.close()


def test_client_certificates(tmp_path: Path) -> None:
    import ssl

    from tests.kuberay.certificates import authority

    ca = authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue("server"))
    context.load_verify_locations(ca.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = ApiServer(tls=context)
    certificate, key = ca.issue("somebody")

    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    user = {"client-certificate-data": data(certificate), "client-key-data": data(key)}
    cluster = {"certificate-authority-data": data(ca.certificate)}
    driver = driver_on(Credentials(text=yaml.safe_dump(server.kubeconfig(user, cluster))), tmp_path)
    driver.submit(submission())
    assert driver.observe(["experiment-1-0001"])
    driver.close()
    server.close()


def test_inside_the_cluster_heads_are_reached_directly(server: ApiServer, tmp_path: Path) -> None:
    spec = KubeRayClusterSpec(name="k", kind="kuberay", namespace="ml", access="direct")
    api = KubeApi(Credentials(text=yaml.safe_dump(server.kubeconfig())), 5)
    at = Namespace(DriverContext(spec, "uid-1", api, packages_at(tmp_path), 1, NO_LAUNCHES, lambda ids: None))
    server.store.create("secrets", {"metadata": {"name": "c"}, "data": {"auth_token": base64.b64encode(b"t").decode()}})
    with pytest.raises(Unreachable, match=r"http://c-head-svc\.ml\.svc\.cluster\.local:8265 does not answer"):
        at.dashboard("c").observe(["experiment-1-0001"])
    at.close()
