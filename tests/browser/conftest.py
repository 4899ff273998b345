"""A real Chromium, and a control service without a cluster for pages that need none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from submarine_ray.core import sealed
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments.tables import AttemptRow, ExperimentRow, ExperimentTagRow
from submarine_ray.experiments.values.tables import ValueLookRow
from submarine_ray.serving.tables import EndpointRow
from submarine_ray.spec.home import Home
from tests.conftest import SUBMARINE, RunningPlatform, free_port, users_environment, wait_until

# The shell has no window of its own to draw, which costs as much as the pages.
CHROMIUM = os.environ.get("SUBMARINE_CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
EXPERIMENTS = 10_000
expect.set_options(timeout=30_000)  # two slow cores may be busy with a cluster as well
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

    def refused(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:  # the page goes on without what was refused
            problems.append(message.text)

    opened.on("pageerror", lambda failure: problems.append(str(failure)))
    opened.on("console", refused)
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
        wait_until(self._is_ready, 90, f"the service to be ready: {self._log}")

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

    def run(self, params: dict[str, float], metrics: dict[str, list[float]]) -> str:
        """An MLflow run with parameters and the courses of metrics; its id, for `add(run_id=...)`."""
        api = f"{self.url}/mlflow/api/2.0/mlflow/runs"
        made = httpx.post(f"{api}/create", json={"experiment_id": "0", "start_time": now_ms()}, timeout=30).json()
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
    def endpoint(model: str) -> EndpointRow:
        return EndpointRow(
            name=f"{model}-1", model_name=model, model_version=1, model_uri="", cluster="local", replicas=1, cpu=0,
            gpu=0, status="Creating", created_ms=now_ms(), changed_ms=now_ms(),
        )  # fmt: skip

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
