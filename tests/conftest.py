"""What tests share: one real platform and one real MariaDB a session, an app without background work for API tests."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fastapi.testclient
import httpx
import pytest
from hypothesis import HealthCheck, settings
from starlette import testclient
from starlette.testclient import TestClient

from submarine_ray.access import connections
from submarine_ray.cli import local_ray
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.core import sealed
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.spec.home import Home
from submarine_ray.tracking.mlflow_app import PREFIX
from tests.answers import checked

# Tests assert no seconds: a machine that is busy draws examples slowly, and that is no fault.
settings.register_profile("submarine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("submarine")

# Nor does httpx, which would give up after five: this object is what its calls and clients have without one of their own.
for _kind in ("connect", "read", "write", "pool"):
    setattr(inspect.signature(httpx.get).parameters["timeout"].default, _kind, 60.0)

Result = TypeVar("Result")

TOKEN = "4f1c9b7e2d8a6035c4e1f7a9b2d36508"  # of services that ask for one; shorter ones are refused


def calls_as(client: TestClient, uid: int | None) -> TestClient:
    """The client, as a process of this user; None: of one that is not known."""
    client.app_state.update(connections.told({}, uid))
    return client


class _OwnUsersClient(TestClient):
    """A client without sockets has nobody at its other end, and the service answers nobody: here it is our own user."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        calls_as(self, os.geteuid())


testclient.TestClient = fastapi.testclient.TestClient = _OwnUsersClient  # type: ignore[misc]

START_SECONDS = 180  # a service with MLflow takes ten seconds of a core to start, which a busy machine gives it slowly

# What runs a program with process ids of its own, all of which end with it; empty where that is not allowed.
PIDS_APART = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
if not shutil.which("unshare") or subprocess.run([*PIDS_APART, "true"], capture_output=True).returncode:
    PIDS_APART = ()

SUBMARINE = [sys.executable, "-m", "submarine_ray.cli.main"]


# Between Ray's blocks (cli/local_ray.py) and the ephemeral range: of an ephemeral port, what asks for any port, or any
# outgoing connection, may make another use before whoever was given it listens there, or while it is started again.
_PORTS = range(31_000, 32_768, 2)  # a service shows content at the next one
_first = os.getpid() * 547 % len(_PORTS)  # far from that of a process beside this one
_ports = itertools.cycle([*_PORTS[_first:], *_PORTS[:_first]])


def free_port() -> int:
    """A port where nobody listens; this process is not given it again before all others."""
    for port in itertools.islice(_ports, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail(f"no free port in {_PORTS}")


def wait_until(condition: Callable[[], Any], timeout: float, what: str) -> Any:
    """The condition's first true value; the test fails with `what` after `timeout` seconds."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < timeout:
        if found := condition():
            return found
        time.sleep(0.05 if passed < 1 else 0.2)  # looking costs the cores that are waited for
    pytest.fail(f"not within {timeout} s: {what}")


def users_environment() -> dict[str, str]:
    """This process's, as a user's would be: NiceGUI leaves out its compression, and more, where pytest is near."""
    others = ("SUBMARINE_", "RAY_", "MLFLOW_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)}


class RunningPlatform:
    """A platform of a test's own: its home, its port, and the CLI pointed at them; `gpus` are Ray's belief alone."""

    def __init__(self, root: Path, port: int, extra: dict[str, str] | None = None, gpus: int | None = None) -> None:
        self._gpus = gpus
        self.home = Home(root)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.env = users_environment() | {
            "SUBMARINE_SYSTEM_METRICS_SECONDS": "0",  # what scripts log is compared with what is stored
            "SUBMARINE_HOME": str(root),
            "SUBMARINE_PORT": str(port),
            "SUBMARINE_ALLOW_CLUSTER_NETWORKS": "127.0.0.0/8",  # where the clusters are that tests register
            **(extra or {}),
        }
        self.client = ExperimentClient(self.url)

    def cli(
        self, *arguments: str, timeout: float = 240, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*SUBMARINE, *arguments], env=self.env, capture_output=True, text=True, timeout=timeout, **options
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done

    def up(self) -> None:
        self.cli("up", *(() if self._gpus is None else ("--gpus", str(self._gpus))))

    def service_pid(self) -> int:
        import json

        return int(json.loads(self.home.service_state.read_text())["pid"])

    def restart_service(self) -> None:
        """As an operator would after a crash: the process dies, and `submarine up` starts what is missing."""
        os.kill(self.service_pid(), signal.SIGKILL)
        self.up()

    def submit(
        self, cmd: str, framework: str = "Shell", workers: int = 1, resources: str = "cpu=0.5", **more: Any
    ) -> str:
        spec = {
            "meta": {"name": "test", "framework": framework, "cmd": cmd},
            "spec": {"Worker": {"replicas": workers, "resources": resources}},
            **more,
        }
        return str(self.client.create_experiment(spec)["experimentId"])

    def ended(self, id: str, timeout: float = 120) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            try:
                found = self.client.service.call("GET", f"/api/v1/experiment/{id}/end?wait=5")
            except Exception:  # the service may just be restarting
                return None
            return found if found["status"] in ("Succeeded", "Failed") else None

        return dict(wait_until(look, timeout, f"the end of {id}"))

    def lines(self, id: str) -> dict[str, list[str]]:
        found = self.client.service.call("GET", f"/api/v1/experiment/logs/{id}")
        return {pod["podName"].removeprefix(f"{id}-"): pod["podLog"] for pod in found["logContent"]}


@pytest.fixture(autouse=True)
def no_other_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's server, which some tests run in this process, sets its model registry for all of the process."""
    utils = sys.modules.get("mlflow.tracking._model_registry.utils")
    if hasattr(utils, "_registry_uri"):  # else a thread is just importing it
        monkeypatch.setattr(utils, "_registry_uri", None)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)


# What MLflow's server keeps once a process.
_MLFLOW_KEEPS = {
    "mlflow.server.handlers": ("_tracking_store", "_model_registry_store", "_job_store", "_artifact_repo"),
    "mlflow.tracking._tracking_service.utils": ("_tracking_uri",),
    "mlflow.tracking._model_registry.utils": ("_registry_uri",),
}

_shared_mlflow: list[tuple[dict[tuple[str, str], Any], dict[str, str]]] = []


def _mlflow_keeps() -> Iterator[tuple[Any, str]]:
    for module, names in _MLFLOW_KEEPS.items():
        for name in names:
            if hasattr(sys.modules.get(module), name):
                yield sys.modules[module], name


def _mlflow_now() -> tuple[dict[tuple[str, str], Any], dict[str, str]]:
    found = {(module.__name__, name): getattr(module, name) for module, name in _mlflow_keeps()}
    return found, {name: value for name, value in os.environ.items() if "MLFLOW" in name}


@contextmanager
def mlflow_kept() -> Iterator[None]:
    """Afterwards MLflow's server is the one that it was, whatever other services were started in this process; or that
    of the shared app, where it was started meanwhile.
    """
    known, before = len(_shared_mlflow), _mlflow_now()
    yield
    found, environment = _shared_mlflow[-1] if len(_shared_mlflow) > known else before
    for module, name in _mlflow_keeps():
        setattr(module, name, found.get((module.__name__, name)))
    for name in [name for name in os.environ if "MLFLOW" in name]:
        del os.environ[name]
    os.environ.update(environment)


# Of tests with these marks, and where `make test` looks for them.
_HEAVY = ("ray", "faults", "db")
_HEAVY_IN = ("browser", "compat", "db", "faults", "kuberay", "ray", "reconcile")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow's server is once a process: who starts another comes after those that share the first."""
    items.sort(key=lambda item: item.get_closest_marker("own_mlflow") is not None)
    for item in items:
        is_heavy = any(item.get_closest_marker(mark) for mark in _HEAVY)
        if is_heavy and item.path.relative_to(Path(__file__).parent).parts[0] not in _HEAVY_IN:
            raise pytest.UsageError(
                f"{item.nodeid}: `make test` looks for {', '.join(_HEAVY)} in {', '.join(_HEAVY_IN)}"
            )


@contextmanager
def mlflow_of_its_own() -> Iterator[None]:
    """For a second service in this process, whose MLflow would be the first's."""
    os.environ["_MLFLOW_STATIC_PREFIX"] = PREFIX  # its routes are made at its import, which may be the next line
    from mlflow.server import handlers  # noqa: F401 (loaded now, or it would be loaded with what it keeps)

    with mlflow_kept():
        for module, name in _mlflow_keeps():
            setattr(module, name, None)
        yield


@pytest.fixture(scope="module", autouse=True)
def mlflow_outlives_the_module() -> Iterator[None]:
    """Of what its own fixtures and tests start. Not by the test: a module's service loads MLflow in the background."""
    with mlflow_kept():
        yield


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """In a thread of its own: the browser's library leaves an event loop running in the tests' own."""
    with ThreadPoolExecutor(1) as own:
        return own.submit(asyncio.run, coroutine).result()


@contextmanager
def platforms() -> Iterator[Callable[..., RunningPlatform]]:
    """What makes platforms; afterwards nothing of them is left."""
    made: list[RunningPlatform] = []

    def make(extra: dict[str, str] | None = None, gpus: int | None = None) -> RunningPlatform:
        # As deep as people's homes are: Ray's and HAProxy's sockets must fit all the same.
        root = Path(tempfile.mkdtemp(prefix="sm-")) / "home" / "somebody.with.a.long.name" / ".submarine"
        platform = RunningPlatform(root, free_port(), extra, gpus)
        made.append(platform)
        platform.up()
        return platform

    def unmake(platform: RunningPlatform) -> None:
        platform.cli("down", check=False)
        local_ray.forget(platform.home)
        shutil.rmtree(platform.home.root.parents[2], ignore_errors=True)

    try:
        yield make
    finally:
        for platform in made:
            unmake(platform)


@pytest.fixture
def make_platform() -> Iterator[Callable[..., RunningPlatform]]:
    """For a test's own platforms, which end with it: an idle one takes a quarter of a core."""
    with platforms() as make:
        yield make


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningPlatform]:
    """Its Ray believes in one GPU, so that what goes wrong on such a machine goes wrong here."""
    with platforms() as make:
        yield make(gpus=1)


SAVES_A_MODEL = """
import mlflow, pandas as pd
from sklearn.linear_model import LinearRegression

frame = pd.DataFrame({"rooms": [1.0, 2.0, 3.0, 4.0], "floor": [1.0, 0.0, 1.0, 0.0]})
model = LinearRegression().fit(frame, 100 * frame.rooms + 10 * frame.floor)
signature = mlflow.models.infer_signature(frame, model.predict(frame))
with mlflow.start_run():  # the experiment's own run: MLFLOW_RUN_ID says so
    mlflow.sklearn.log_model(model, name="prices", signature=signature, pip_requirements=["scikit-learn"])
"""


@pytest.fixture(scope="session")
def sklearn_experiment(platform: RunningPlatform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of an experiment that has saved one model, called prices, with MLflow itself."""
    directory = tmp_path_factory.mktemp("sklearn")
    (directory / "train.py").write_text(SAVES_A_MODEL)
    id = platform.submit("python train.py", "Python", code={"syncMode": "local", "url": str(directory)})
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    return id


class MariaDb:
    """A real server of the test session's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        user = ["--user=root"] if os.getuid() == 0 else []
        subprocess.run(
            ["mariadb-install-db", *user, f"--datadir={directory}/data", "--auth-root-authentication-method=normal"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._user = user

    def start(self) -> None:
        server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
        self.process = subprocess.Popen(
            [server, "--no-defaults", *self._user, f"--datadir={self.directory}/data", f"--port={self.port}",
             "--bind-address=127.0.0.1", f"--socket={self.directory}/s.sock", f"--pid-file={self.directory}/pid"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._answers, 60, "MariaDB answers")

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(60)

    def database(self, name: str) -> str:
        """A new database's URL."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}"

    def _connect(self) -> Any:
        import pymysql

        return pymysql.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=2)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except Exception:
            return False
        return True


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    if not (shutil.which("mariadbd") or Path("/usr/sbin/mariadbd").exists()):
        pytest.skip("MariaDB's server is not installed")
    directory = Path(tempfile.mkdtemp(prefix="sm-db-"))
    server = MariaDb(directory)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/test.db"
    else:
        # A name of its own: a database dropped and made again under one name was once seen without its last table.
        url = request.getfixturevalue("mariadb").database(f"submarine_{uuid.uuid4().hex[:12]}")
    made = Database(url)
    sealed.use(made.engine, SecretBox(tmp_path / "secret.key"))
    made.migrate()
    yield made
    made.close()


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The real app over ASGI with its background work, and no cluster: what must work with every cluster down."""
    from fastapi.testclient import TestClient

    from submarine_ray.app import build
    from submarine_ray.core.settings import Settings

    settings = Settings(home=tmp_path_factory.mktemp("home"), allow_cluster_networks="127.0.0.0/8")  # type: ignore[arg-type]
    app = build(settings)
    with TestClient(app, base_url="http://127.0.0.1:32080", raise_server_exceptions=False) as client:
        # Alembic does one migration at a time in a process: another app's must not meet MLflow's in the background.
        wait_until(lambda: client.get("/ready").status_code == 200, START_SECONDS, "MLflow is loaded")
        _shared_mlflow.append(_mlflow_now())
        client.event_hooks["response"].append(checked(app))
        yield client


def spec(**changes: Any) -> dict[str, Any]:
    """A valid experiment; `changes` replace its top-level fields."""
    return {
        "meta": {"name": "test", "framework": "PyTorch", "cmd": "python train.py"},
        "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=512M"}},
        **changes,
    }
