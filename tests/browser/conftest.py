"""A real Chromium, and a control service without a cluster for pages that need none."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from submarine_ray.core import sealed
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments import words
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow, ExperimentTagRow
from submarine_ray.experiments.values.tables import ValueLookRow
from submarine_ray.serving.applications import weights_name
from submarine_ray.serving.tables import CountsRow, EndpointRow, LookRow, TrafficRow
from submarine_ray.spec.home import Home
from submarine_ray.spec.tags import (
    EXPERIMENT_TAG,
    IS_TRIAL_TAG,
    PARAMS_TAG,
    PARENT_TAG,
    STATE_TAG,
    SWEEP_TAG,
    TRIAL_TAG,
)
from tests.conftest import START_SECONDS, SUBMARINE, RunningPlatform, free_port, users_environment, wait_until

# The shell has no window of its own to draw, which costs as much as the pages.
CHROMIUM = os.environ.get("SUBMARINE_CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
EXPERIMENTS = 10_000
expect.set_options(timeout=30_000)  # two slow cores may be busy with a cluster as well
OWN_SCRIPTS = re.compile("/_nicegui/|/workbench-static/")
HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium-headless-shell, or SUBMARINE_CHROMIUM)")
    with sync_playwright() as playwright:
        # Chromium's own sandbox does not run as root, as tests do in containers.
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        yield started
        started.close()


# Of a page that did not do what a test wanted: is it connected, and what of its parts has not come.
STATE = """() => ({
    handshake: window.did_handshake, connected: window.socket?.connected, next: window.nextMessageId,
    came: performance.getEntriesByType("resource").map(one =>
        `${one.responseStatus} ${Math.round(one.startTime)}-${Math.round(one.responseEnd)} ms ${one.name}`),
})"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure stands how its page was."""
    report = yield
    given = getattr(item, "funcargs", {})
    page = given.get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        told = [*getattr(page, "told", ())]
        try:
            told.append(json.dumps(page.evaluate(STATE), indent=1))
            told.append(page.locator("body").inner_text()[:4000])
        except PlaywrightError as failure:
            told.append(f"The page does not answer: {failure}")
        report.sections.append((f"the page {page.url}", "\n".join(told)))
        if isinstance(platform := given.get("platform"), RunningPlatform):
            report.sections.append(("the service's log", platform.home.service_log.read_text()[-8000:]))
    return report


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    opened = context.new_page()
    problems: list[str] = []
    told: list[str] = []
    opened.told = told  # type: ignore[attr-defined]
    opened.on("requestfailed", lambda one: told.append(f"failed: {one.url}: {one.failure}"))
    opened.on("response", lambda one: told.append(f"{one.status}: {one.url}") if one.status >= 400 else None)
    opened.on("websocket", lambda one: one.on("close", lambda _: told.append(f"closed: {one.url}")))
    opened.on("console", lambda one: told.append(f"console: {one.type}: {one.text}"))

    def noted(message: ConsoleMessage) -> None:
        # The page goes on without what the policy has refused, and after what a component of its own has failed in.
        is_own = message.type == "error" and OWN_SCRIPTS.search(message.location.get("url", ""))
        is_network = message.text.startswith(("Failed to load", "WebSocket"))
        if "Content Security Policy" in message.text or (is_own and not is_network):
            problems.append(message.text)

    opened.on("pageerror", lambda failure: problems.append(str(failure)))
    opened.on("console", noted)
    yield opened
    context.close()
    assert not problems


class Service:
    """A control service of its own, with many experiments that have ended."""

    def __init__(self, root: Path, token: str | None = None) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.home = Home(root)
        self._log = root / "service.log"
        self._env = users_environment() | {"SUBMARINE_HOME": str(root), "SUBMARINE_PORT": self.url.rsplit(":", 1)[1]}
        if token:
            self._env["SUBMARINE_TOKEN"] = token
        self.database = Database(f"sqlite:///{self.home.database}")
        sealed.use(self.database.engine, SecretBox(self.home.secret_key))
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "submarine_ray.app"]
            self._process = subprocess.Popen(command, env=self._env, stdout=log, stderr=log)
        wait_until(self._is_ready, START_SECONDS, f"the service to be ready: {self._log}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def add(self, count: int, name: str = "train", meta: dict[str, str] | None = None, **values: object) -> list[str]:
        """Experiments as they are when they have ended, the last one the newest; `meta` changes their specs'."""
        now, ids = now_ms(), []
        with self.database.session(write=True) as session:
            for number in range(count):
                shown = f"{name}-{number}" if count > 1 else name
                said = {"name": shown, "framework": "Shell", "cmd": "true", "owner": values.get("owner")} | (meta or {})
                at = now - (count - number) * 1000
                row = {
                    "id": f"experiment-{now}-{uuid.uuid4().hex}", "uid": str(uuid.uuid4()), "name": shown,
                    "framework": "Shell", "cluster": "local", "status": "Succeeded", "attempt": 1, "archived": True,
                    "spec": json.dumps({"meta": said, "spec": {"Worker": {"resources": "cpu=1"}}}),
                    "accepted_ms": at, "created_ms": at, "running_ms": at, "finished_ms": at + 5000, **values,
                }  # fmt: skip
                session.add(ExperimentRow(generation=1, next_check_ms=None, **row))
                if count < 100:  # of the many, nobody searches any
                    words.put(session, str(row["id"]), at, shown, ())
                ids.append(str(row["id"]))
        return ids

    def watch(self, ids: Iterable[str]) -> None:
        """Let the service read what these experiments have logged, as it does with those that it accepts."""
        with self.database.session(write=True) as session:
            session.add_all(ValueLookRow(experiment_id=id, next_ms=0) for id in ids)

    def attempt(self, id: str, number: int, cmd: str, **values: object) -> None:
        """An attempt of an experiment that another has followed."""
        spec = {"meta": {"name": "earlier", "framework": "Shell", "cmd": cmd}, "spec": {"Worker": {}}}
        row = {"experiment_id": id, "attempt": number, "cluster": "local", "log_path": "logs", **values}
        with self.database.session(write=True) as session:
            session.add(AttemptRow(submission=f"{id}-{number}", spec=json.dumps(spec), **row))

    def run(self, params: dict[str, float], metrics: dict[str, list[float]], tags: dict[str, str] | None = None) -> str:
        """An MLflow run with parameters and the courses of metrics; its id, for `add(run_id=...)`."""
        api = f"{self.url}/mlflow/api/2.0/mlflow/runs"
        tagged = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        asked = {"experiment_id": "0", "start_time": now_ms(), "tags": tagged}
        made = httpx.post(f"{api}/create", json=asked, timeout=30).json()
        run = str(made["run"]["info"]["run_id"])
        logged = {
            "run_id": run,
            "params": [{"key": key, "value": str(value)} for key, value in params.items()],
            "metrics": [
                {"key": key, "value": value, "step": step, "timestamp": now_ms()}
                for key, values in metrics.items()
                for step, value in enumerate(values)
            ],
        }
        httpx.post(f"{api}/log-batch", json=logged, timeout=30).raise_for_status()
        return run

    def sweep(
        self, trials: Sequence[tuple[dict[str, object], list[float]]], name: str = "sweep", **tune: object
    ) -> str:
        """A sweep that has ended, with the parameters and the metric's course (`score`, the more the better) of each
        trial, `t1` and on; its id.
        """
        said = {"searchSpace": {"lr": {"type": "uniform", "low": 0, "high": 1}}, "metric": "score", "mode": "max"}
        meta = {"name": name, "framework": "Shell", "cmd": "true {{lr}}"}
        tuned = {**said, "numSamples": len(trials), **tune}
        spec = {"meta": meta, "spec": {"Worker": {"resources": "cpu=1"}}, "tune": tuned}
        (id,) = self.add(1, name, spec=json.dumps(spec))
        run = self.run({}, {}, {EXPERIMENT_TAG: id})
        with self.database.session(write=True) as session:
            session.get_one(ExperimentRow, id).run_id = run
        for number, (params, course) in enumerate(trials, 1):
            tags = {SWEEP_TAG: id, TRIAL_TAG: f"t{number}", IS_TRIAL_TAG: "1", PARENT_TAG: run}
            self.run({}, {"score": course}, {**tags, PARAMS_TAG: json.dumps(params), STATE_TAG: "Succeeded"})
        return id

    def cli(self, *arguments: str) -> str:
        """What the command line prints, pointed at this service."""
        env = self._env | {"SUBMARINE_URL": self.url}
        return subprocess.run([*SUBMARINE, *arguments], env=env, capture_output=True, text=True, timeout=60).stdout

    def serve(self, model: str) -> None:
        """A registered model whose first version has an endpoint; no cluster answers for it."""
        registry = f"{self.url}/mlflow/api/2.0/mlflow"
        run = self.run({}, {})
        found = httpx.get(f"{self.url}/mlflow/api/2.0/mlflow/runs/get", params={"run_id": run}, timeout=30).json()
        version = {"name": model, "source": f"{found['run']['info']['artifact_uri']}/model", "run_id": run}
        for path, body in (("registered-models", {"name": model}), ("model-versions", version)):
            httpx.post(f"{registry}/{path}/create", json=body, timeout=30).raise_for_status()
        with self.database.session(write=True) as session:
            session.add(self.endpoint(model))

    @staticmethod
    def endpoint(model: str, version: int = 1) -> EndpointRow:
        return EndpointRow(
            name=f"{model}-{version}", model_name=model, model_version=version, model_uri="", cluster="local",
            replicas=1, cpu=0, gpu=0, status="Creating", created_ms=now_ms(), changed_ms=now_ms(),
        )  # fmt: skip

    def split(self, model: str, weights: dict[int, int], passed: dict[int, tuple[int, int]]) -> None:
        """Requests of a model split by weight, of which each version has got some within ten seconds: `passed` has how
        many, and how many of them failed.
        """
        name, part = f"traffic:{model}", weights_name(weights)
        counted = {f"{name}/{version}@{part}": found for version, found in passed.items()}
        counted[name] = (sum(all for all, _ in passed.values()), sum(bad for _, bad in passed.values()))
        said = json.dumps({str(version): weight for version, weight in weights.items()})
        at = {"created_ms": now_ms(), "changed_ms": now_ms()}
        with self.database.session(write=True) as session:
            session.add(TrafficRow(model_name=model, cluster="local", weights=said, status="Running", **at))
            session.merge(LookRow(cluster="local", asked_ms=2**62, known=True))  # nobody need ask the cluster
            for one, (all, bad) in counted.items():
                for ago, share in ((10_000, 0), (0, 1)):
                    buckets = json.dumps([["10.0", all * share * 0.9], ["100.0", all * share], ["inf", all * share]])
                    sample = {"at_ms": now_ms() - ago, "errors": bad * share, "buckets": buckets}
                    session.add(CountsRow(cluster="local", name=one, **sample))

    def log(self, run: str, texts: dict[str, list[str]]) -> None:
        """What an ended experiment's replicas have written, kept with its run."""
        found = httpx.get(f"{self.url}/mlflow/api/2.0/mlflow/runs/get", params={"run_id": run}, timeout=30).json()
        path = found["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for name, lines in texts.items():
            url = f"{self.url}/mlflow/api/2.0/mlflow-artifacts/artifacts/{path}/logs/{name}.log"
            httpx.put(url, content="\n".join(lines), timeout=30).raise_for_status()

    def tag(self, experiment_id: str, tag: str) -> None:
        with self.database.session(write=True) as session:
            session.add(ExperimentTagRow(experiment_id=experiment_id, tag=tag))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("workbench"))
    made.add(EXPERIMENTS)
    yield made
    made.stop()
    made.database.close()
