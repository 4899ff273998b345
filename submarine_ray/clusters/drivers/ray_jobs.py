"""Ray's Jobs and Serve REST APIs, with a token per cluster. The service itself never imports Ray.

Source: the endpoints of Ray 2.60's dashboard (`ray/dashboard/modules/job/job_head.py`, `serve/serve_head.py`).
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from submarine_ray.clusters.drivers import fences, pip, ray_logs, uploaded
from submarine_ray.clusters.drivers.activity import Activity
from submarine_ray.clusters.drivers.base import (
    BEGINNING,
    LOG_SECONDS,
    AlreadySubmitted,
    Capacity,
    Fence,
    Job,
    JobState,
    Mark,
    Served,
    Submission,
    SubmissionRefused,
    UnknownJob,
    Unreachable,
)
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.disk import Disk
from submarine_ray.clusters.drivers.ray_api import ApplicationDetails, JobDetails, Replica, ServeConfig
from submarine_ray.clusters.drivers.runner_code import runner_code
from submarine_ray.clusters.drivers.unfetched import unfetched
from submarine_ray.clusters.launches import Launches
from submarine_ray.core.outgoing import CheckedTransport, fetched, no_cookies
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.json_types import JsonObject, object_at, text_at
from submarine_ray.spec.launch import (
    BEGIN_VARIABLE,
    GRACE_MARGIN,
    GRACE_SECONDS,
    RAY_STOP_VARIABLE,
    TICKET_VARIABLE,
    Code,
    Launch,
    LaunchKind,
)
from submarine_ray.spec.quantities import Resources
from submarine_ray.spec.tags import JOB_EXPERIMENT, JOB_NAME, JOB_NOTEBOOK

# Up to here single GETs (10-20 ms whatever the number of jobs) beat the list, which has no paging.
SINGLE_GETS = 8
MAX_NODES = 10_000
METRICS_SECONDS = 3.0
# What stands between here and a dashboard has found nobody: a proxy, the API server's service proxy.
_NOBODY = (502, 503, 504)
_MARKS = (":job_id:", ":actor_name:")  # Ray's own lines in what its workers write


class RayJobs:
    """A running Ray cluster, reached through its dashboard.

    With `disk`, the cluster runs on this machine; elsewhere `launches` keeps what its jobs fetch.
    """

    watches = False

    def __init__(
        self,
        dashboard: Dashboard,
        packages: PackageService,
        timeout: float,
        disk: Disk | None = None,
        launches: Launches | None = None,
    ) -> None:
        self._dashboard = dashboard
        self._packages = packages
        self._disk = disk
        self._launches = launches
        self._http = httpx.Client(
            base_url=dashboard.url,
            auth=self._show_token,
            timeout=timeout,
            cookies=no_cookies(),
            transport=CheckedTransport(dashboard.outgoing, dashboard.tls),
        )
        self._activity = Activity(self._is_active)

    def submit(self, submission: Submission) -> None:
        launch = self._place(submission.launch)
        runtime_env: JsonObject = {}
        if submission.pip:
            if self._disk is not None:  # this service's Python is the cluster's
                pip.wanted(submission.pip)
            runtime_env["pip"] = list(submission.pip)
        if submission.conda:
            runtime_env["conda"] = {"dependencies": list(submission.conda)}
        if self._disk is not None:
            file = self._disk.write(launch)
            entrypoint = f"exec python -m submarine_ray.runner --launch-file {shlex.quote(str(file))}"
        else:
            entrypoint = "exec python -m submarine_ray.runner"
            # Whoever may look at the cluster reads this: no launch, only a ticket that is spent when the job begins.
            runtime_env["env_vars"] = {**self._ticket(launch)}
            runtime_env["py_modules"] = [self._upload(*runner_code())]
            if launch.code and launch.code.mode == "package":
                runtime_env["working_dir"] = self._upload(
                    launch.code.url, uploaded.wrapped(self._packages, launch.code.url)
                )
        if self._disk is None or launch.grace_seconds > GRACE_SECONDS:  # what a cluster of ours was started with
            patience = str(launch.grace_seconds + GRACE_MARGIN)
            runtime_env["env_vars"] = {**object_at(runtime_env, "env_vars"), RAY_STOP_VARIABLE: patience}
        body = {
            "entrypoint": entrypoint,
            "submission_id": launch.submission_id,
            "metadata": {
                JOB_NOTEBOOK if launch.notebook else JOB_EXPERIMENT: launch.experiment_id,
                JOB_NAME: launch.name,
            },
            **_entrypoint_resources(launch),
        }
        if runtime_env:
            body["runtime_env"] = runtime_env
        answer = self._call("POST", "/api/jobs/", json=body)
        if answer.status_code == 200:
            return
        text = answer.text
        if "already exists" in text and launch.submission_id in text:
            raise AlreadySubmitted(launch.submission_id)
        if answer.status_code < 500 or "runtime_env" in text or "ValueError" in text:
            raise SubmissionRefused(_last_line(text))
        raise Unreachable(f"HTTP {answer.status_code} to a submission: {_last_line(text)}")

    def observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        found = self._observe(submission_ids)
        return found if self._launches is None or self._disk is not None else unfetched(found, self._launches)

    def _observe(self, submission_ids: Sequence[str]) -> dict[str, Job]:
        if len(submission_ids) > SINGLE_GETS:
            wanted = set(submission_ids)
            answer = self._ok("GET", "/api/jobs/")
            return {d["submission_id"]: _job(d) for d in answer.json() if d.get("submission_id") in wanted}
        found = {}
        for submission_id in submission_ids:
            answer = self._call("GET", f"/api/jobs/{quote(submission_id, safe='')}")
            if answer.status_code == 200:
                found[submission_id] = _job(answer.json())
            elif answer.status_code != 404:
                raise Unreachable(f"HTTP {answer.status_code} to GET /api/jobs/{submission_id}")
        return found

    def read_log(self, submission_id: str, offset: int = 0, patience: float = LOG_SECONDS) -> Iterator[bytes]:
        if self._disk is not None and (here := self._disk.read(submission_id, offset)):
            return here
        return ray_logs.read(self._http, self._call, submission_id, offset, patience)

    async def follow_log(self, submission_id: str, since: Mark = BEGINNING) -> AsyncIterator[bytes]:
        at = self._dashboard
        if self._disk:
            pieces = self._disk.tail(submission_id, since.offset, lambda: self._activity.of(submission_id))
        else:
            pieces = ray_logs.follow(at, submission_id, since.lines)
        async for piece in pieces:
            yield piece

    def _is_active(self, submission_id: str) -> bool:
        job = self.observe([submission_id]).get(submission_id)
        if job is None or job.state.ended:
            return False
        return job.node_id is None or job.node_id in self.capacity().nodes  # Ray calls running what died with its node

    def stop(self, submission_id: str) -> None:
        answer = self._call("POST", f"/api/jobs/{quote(submission_id, safe='')}/stop")
        if answer.status_code not in (200, 404):
            raise Unreachable(f"HTTP {answer.status_code} to the stop of {submission_id}")

    def delete(self, submission_id: str) -> None:
        answer = self._call("DELETE", f"/api/jobs/{quote(submission_id, safe='')}")
        # Ray keeps the record of a job that died with its node as running, and refuses to delete it: it stays.
        if answer.status_code not in (200, 404) and "non-terminal" not in answer.text:
            raise Unreachable(f"HTTP {answer.status_code} to the deletion of {submission_id}")
        if self._disk is not None:
            self._disk.forget(submission_id)
        elif self._launches is not None:
            self._launches.forget(submission_id)

    def spools(self, experiment_id: str, submission_id: str) -> dict[str, Path]:
        return self._disk.spools(experiment_id, submission_id) if self._disk is not None else {}

    def purge(self, experiment_id: str) -> None:
        if self._disk is not None:
            self._disk.purge(experiment_id)
        elif self._launches is not None:
            self._launches.purge(experiment_id)

    def maintain(self, _fence: Fence) -> None:
        """Nothing of the cluster is ours."""

    def dispose(self) -> None:
        """Nothing of the cluster is ours."""

    def capacity(self) -> Capacity:
        try:
            nodes = self._ok("GET", f"/api/v0/nodes?limit={MAX_NODES}").json()["data"]["result"]["result"]
            alive = [node for node in nodes if node["state"] == "ALIVE"]
            head = next(node for node in alive if node["is_head_node"])
        except (KeyError, TypeError, StopIteration) as failure:
            raise Unreachable("the cluster's node list has no living head") from failure
        sizes = [_node_resources(node["resources_total"]) for node in alive]
        return Capacity(
            incarnation=head["node_id"],
            total=sum(sizes, Resources()),
            largest_node=Resources(max(s.cpu for s in sizes), max(s.memory for s in sizes), max(s.gpu for s in sizes)),
            nodes=frozenset(node["node_id"] for node in alive),
        )

    def applications(self) -> Served:
        return fences.unfenced(self._ok("GET", "/api/serve/applications/").json())

    def put_applications(self, config: ServeConfig, fence: Fence) -> None:
        fences.check(self.applications()["fence"], fence)
        answer = self._call("PUT", "/api/serve/applications/", json=fences.fenced(config, fence), timeout=60)
        if answer.status_code == 400:
            raise SubmissionRefused(_last_line(answer.text))
        if answer.status_code != 200:
            raise Unreachable(f"HTTP {answer.status_code} to PUT /api/serve/applications/: {_last_line(answer.text)}")

    def serve_metrics(self, applications: Collection[str] = ()) -> list[str]:
        served = self.applications()
        hosts = {text_at(proxy, "node_ip") for proxy in (served.get("proxies") or {}).values()}
        counting = [served["applications"].get(name) for name in applications]
        hosts |= {one.get("node_ip") or "" for application in counting for one in _replicas(application)}
        groups = self._ok("GET", "/api/prometheus/sd").json()
        targets = [target for group in groups for target in group["targets"] if target.rsplit(":", 1)[0] in hosts]
        found = []
        # The cluster names the targets, so they are checked as its own address is.
        transport = CheckedTransport(self._dashboard.outgoing)
        with httpx.Client(timeout=METRICS_SECONDS, cookies=no_cookies(), transport=transport) as client:
            for target in targets:
                # Nodes may be where only the dashboard can reach them, and not every target is up.
                with contextlib.suppress(httpx.HTTPError):
                    found.append(fetched(client, "GET", f"http://{target}/metrics").raise_for_status().text)
        return found

    def replicas(self, endpoint: str) -> list[Replica]:
        return _replicas(self.applications()["applications"].get(endpoint))

    def replica_log(self, endpoint: str, replica_id: str, lines: int) -> str:
        replica = next((one for one in self.replicas(endpoint) if one["replica_id"] == replica_id), None)
        if replica is None:
            raise UnknownJob(replica_id)
        if not replica.get("log_file_path"):
            return ""  # it is starting
        own = {"node_id": replica["node_id"], "filename": str(replica["log_file_path"]).lstrip("/")}
        of_process = [{"actor_id": replica["actor_id"], "suffix": suffix} for suffix in ("out", "err")]
        found = []
        for asked in (own, *of_process):
            answer = self._call("GET", "/api/v0/logs/file", params={**asked, "lines": lines, "format": "text"})
            if answer.status_code == 200:
                found += [line for line in answer.text.splitlines() if not line.startswith(_MARKS)]
            elif asked is own:
                raise UnknownJob(replica_id)
        return "\n".join(found)

    def close(self) -> None:
        self._http.close()

    def _place(self, launch: Launch) -> Launch:
        """Give the launch its directories on the cluster."""
        if self._disk is None:
            # On the cluster; the runner makes it 0700. Checkpoints are the experiment's: a later attempt resumes there.
            if launch.notebook:
                return replace(launch, work_dir=f"/tmp/submarine/notebooks/{launch.notebook.folder}")  # noqa: S108
            base = f"/tmp/submarine/{launch.experiment_id}"  # noqa: S108
            work = f"{base}/{launch.submission_id}"
            return replace(launch, work_dir=work, tensorboard_dir=f"{base}/tensorboard", storage_dir=f"{base}/storage")
        if launch.code and launch.code.mode == "package":
            launch = replace(launch, code=Code("package", str(uploaded.unpacked(self._packages, launch.code.url))))
        return self._disk.place(launch)

    def _ticket(self, launch: Launch) -> dict[str, str]:
        assert self._launches is not None  # noqa: S101 (a cluster without our disk is given them)
        address = f"{launch.begin_address()}?submission={quote(launch.submission_id, safe='')}"
        return {BEGIN_VARIABLE: address, TICKET_VARIABLE: self._launches.keep(launch)}

    def _upload(self, name: str, content: bytes) -> str:
        """Put a zip into the cluster's package store; its URI there."""
        file = f"_ray_pkg_{name.removeprefix('package://')[:32]}.zip"
        path = f"/api/packages/gcs/{file}"
        if self._call("GET", path).status_code == 404:
            answer = self._call("PUT", path, content=content, timeout=60)
            if answer.status_code != 200:
                raise Unreachable(f"HTTP {answer.status_code} to the upload of a package")
        return f"gcs://{file}"

    def _show_token(self, request: httpx.Request) -> httpx.Request:
        request.headers.update(self._dashboard.headers())
        return request

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = fetched(self._http, method, path, **arguments)
        except httpx.HTTPError as failure:
            raise Unreachable(
                f"{self._dashboard.url} does not answer: {failure or type(failure).__name__}"
            ) from failure
        if answer.status_code in (401, 403):
            why = _last_line(answer.text)
            raise Unreachable(f"{self._dashboard.url} refuses the call (HTTP {answer.status_code}): {why}")
        if answer.status_code in _NOBODY:
            why = _last_line(answer.text)
            raise Unreachable(f"nobody answers behind {self._dashboard.url} (HTTP {answer.status_code}): {why}")
        return answer

    def _ok(self, method: str, path: str) -> httpx.Response:
        answer = self._call(method, path)
        if answer.status_code != 200:
            raise Unreachable(f"HTTP {answer.status_code} to {method} {path}")
        return answer


def _entrypoint_resources(launch: Launch) -> JsonObject:
    """A single process runs in the entrypoint, which then holds its resources; a gang's are in its placement group,
    and a sweep's trials have their own.
    """
    if launch.kind not in (LaunchKind.COMMAND, LaunchKind.NOTEBOOK) or launch.framework == "Ray":
        return {}
    only = launch.replicas[0]
    asked = {"entrypoint_num_cpus": only.cpu, "entrypoint_num_gpus": only.gpu, "entrypoint_memory": only.memory}
    return {key: value for key, value in asked.items() if value}


def _job(document: JobDetails) -> Job:
    return Job(
        submission_id=document["submission_id"],
        state=JobState(document["status"]),
        error_type=document.get("error_type"),
        message=document.get("message"),
        exit_code=document.get("driver_exit_code"),
        node_id=document.get("driver_node_id"),
        start_ms=document.get("start_time"),
        end_ms=document.get("end_time"),
    )


def _node_resources(total: dict[str, float]) -> Resources:
    return Resources(float(total.get("CPU", 0)), int(total.get("memory", 0)), float(total.get("GPU", 0)))


def _replicas(application: ApplicationDetails | None) -> list[Replica]:
    deployments = (application or {}).get("deployments") or {}
    return [one for deployment in deployments.values() for one in deployment.get("replicas", [])]


def _last_line(text: str) -> str:
    """The line of an error body that says what was wrong; Ray answers with whole tracebacks."""
    with contextlib.suppress(ValueError, AttributeError):
        told = json.loads(text)
        text = told.get("msg") or told.get("message") or text  # Ray's word, Kubernetes' word
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason given")[:1000]
