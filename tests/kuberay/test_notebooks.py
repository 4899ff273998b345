"""A notebook on Kubernetes is a RayJob like any other; its page comes through the service."""

from __future__ import annotations

import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from submarine_ray.clusters.drivers.kuberay.names import object_name
from tests.conftest import wait_until
from tests.kuberay.conftest import Kube, registration


class _Lab(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"a lab")

    def log_message(self, *_: Any) -> None:
        pass


def test_a_notebook_runs_is_shown_stopped_and_deleted(kube: Kube) -> None:
    name = f"nb-{uuid.uuid4().hex[:6]}"
    spec = {"meta": {"name": name, "namespace": "default"}, "environment": {"image": "team/lab:1"},
            "spec": {"resources": "cpu=1,memory=2Gi"}, "cluster": kube.cluster}  # fmt: skip
    made = kube.service.post("/api/v1/notebook", json=spec)
    assert made.status_code == 200, made.text
    id = made.json()["result"]["notebookId"]
    job = kube.job(object_name(id))
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"])["pip"] == ["jupyterlab>=4.4,<5"]
    container = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert (container["image"], job["spec"]["jobId"]) == ("team/lab:1", id)

    def state() -> str:
        return str(kube.service.get(f"/api/v1/notebook/{id}").json()["result"]["status"])

    lab = ThreadingHTTPServer(("127.0.0.1", 0), _Lab)
    threading.Thread(target=lab.serve_forever, daemon=True).start()
    kube.start(object_name(id))
    kube.head.set(id, "RUNNING")
    kube.head.logs[id] = f"[submarine] notebook at 127.0.0.1:{lab.server_port}\n"
    kube.status(object_name(id), jobDeploymentStatus="Running", jobStatus="RUNNING")
    wait_until(lambda: state() == "running", 15, "it runs")
    assert kube.service.get(f"/notebook/default/{name}/lab").text == "a lab"
    kube.service.delete(f"/api/v1/notebook/{id}")
    wait_until(lambda: id in kube.head.stopped, 15, "Ray is asked to stop it")
    kube.status(object_name(id), jobDeploymentStatus="Complete", jobStatus="STOPPED")
    wait_until(lambda: kube.store.find("rayjobs", object_name(id)) is None, 20, "nothing is left")
    lab.shutdown()
    lab.server_close()


def test_the_environment_that_ships_with_the_service_starts_the_clusters_image(kube: Kube) -> None:
    spec = {"meta": {"name": f"nb-{uuid.uuid4().hex[:6]}", "namespace": "default"},
            "environment": {"name": "notebook-env"}, "spec": {"resources": "cpu=1"}, "cluster": kube.cluster}  # fmt: skip
    made = kube.service.post("/api/v1/notebook", json=spec)
    assert made.status_code == 200, made.text
    job = kube.job(object_name(made.json()["result"]["notebookId"]))
    container = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert container["image"] == registration(kube.server)["image"]


def test_why_it_does_not_start_is_its_reason(kube: Kube) -> None:
    spec = {"meta": {"name": f"nb-{uuid.uuid4().hex[:6]}", "namespace": "default"}, "environment": {"image": "team/lab:1"},
            "spec": {"resources": "cpu=1"}, "cluster": kube.cluster}  # fmt: skip
    id = kube.service.post("/api/v1/notebook", json=spec).json()["result"]["notebookId"]
    kube.job(object_name(id))
    cluster = kube.start(object_name(id), ready=False)
    waiting = {
        "name": "ray-head",
        "image": "team/lab:1",
        "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}},
    }
    kube.store.patch(
        "pods", f"{cluster}-head", {"status": {"phase": "Pending", "containerStatuses": [waiting]}}, status=True
    )
    wait_until(lambda: "cannot be fetched" in kube.service.get(f"/api/v1/notebook/{id}").json()["result"]["reason"],
               15, "the reason is told")  # fmt: skip
