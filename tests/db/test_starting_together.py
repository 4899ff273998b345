"""Three control services that are started at the same moment on an empty database: real processes, a real MariaDB."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text

from submarine_ray.core.database import Database, hold_up_nobody
from submarine_ray.core.errors import DatabaseUnavailable
from submarine_ray.templates import library
from tests.conftest import MariaDb, free_port, spec, users_environment, wait_until

pytestmark = pytest.mark.db

COUNT = 3


@dataclass
class Service:
    """A process, where it answers, and what it says."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"it ended: {self.log.read_text()}")
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        return False


@contextlib.contextmanager
def started(homes: list[Path], environment: dict[str, str]) -> Iterator[list[Service]]:
    """A service in each home, all begun before the first can answer."""
    found = []
    for number, home in enumerate(homes):
        home.mkdir(parents=True, exist_ok=True)
        log, port = home.parent / f"{number}.log", free_port()
        own = {"SUBMARINE_HOME": str(home), "SUBMARINE_PORT": str(port)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "submarine_ray.app"], env=users_environment() | environment | own,
                stdout=output, stderr=output,
            )  # fmt: skip
        found.append(Service(process, f"http://127.0.0.1:{port}", log))
    try:
        yield found
    finally:
        for service in found:
            service.process.send_signal(signal.SIGTERM)
        for service in found:
            service.process.wait(30)


@pytest.mark.parametrize(
    "shared", [pytest.param(True, id="one home"), pytest.param(False, id="own homes", marks=pytest.mark.long)]
)
def test_three_services_start_together_on_an_empty_database(mariadb: MariaDb, tmp_path: Path, shared: bool) -> None:
    configurations = tmp_path / "cluster_configs"
    configurations.mkdir()
    cluster = {"kind": "ray", "name": "lab", "address": "http://127.0.0.1:9", "labels": {"zone": "a"}}
    (configurations / "lab.yaml").write_text(yaml.safe_dump(cluster))
    name = f"together_{uuid.uuid4().hex[:8]}"
    url = mariadb.database(name)
    environment = {
        "SUBMARINE_DATABASE_URL": url,
        "SUBMARINE_MLFLOW_DATABASE_URL": mariadb.database(f"{name}_mlflow"),
        "SUBMARINE_ARTIFACT_ROOT": str(tmp_path / "artifacts"),
        "SUBMARINE_PACKAGE_DIRECTORY": str(tmp_path / "packages"),
        "SUBMARINE_CLUSTER_CONFIGURATIONS": str(configurations),
        "SUBMARINE_ALLOW_CLUSTER_NETWORKS": "127.0.0.0/8",
        **({} if shared else {"SUBMARINE_SECRET_KEY": Fernet.generate_key().decode()}),
    }
    token = secrets.token_hex(16)
    homes = [tmp_path / ("home" if shared else str(number)) / "home" for number in range(COUNT)]
    with started(homes, environment | {"SUBMARINE_TOKEN": token, "SUBMARINE_LOG_LEVEL": "INFO"}) as services:
        for service in services:
            wait_until(service.is_ready, 180, f"{service.url} is ready")
        for service in services:
            with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
                listed = client.get("/api/v1/cluster").json()["result"]
                assert [one["name"] for one in listed] == ["lab", "local"]
                templates = client.get("/api/v1/template").json()["result"]
                names = [one["experimentTemplateSpec"]["name"] for one in templates]
                assert len(names) == len(set(names)) == len(list(library.directory().glob("*/template.yaml")))
                assert client.get("/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0").status_code == 200
        engine = create_engine(url)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM alembic_version")) == 1
        engine.dispose()
        # All can open what one has sealed: they have one key.
        bearer = {"Authorization": f"Bearer {token}"}
        made = httpx.post(f"{services[0].url}/api/v1/experiment", json=spec(), headers=bearer, timeout=20).json()
        for service in services:
            seen = httpx.get(
                f"{service.url}/api/v1/experiment/{made['result']['experimentId']}", headers=bearer, timeout=20
            ).json()
            assert seen["result"]["spec"]["meta"]["cmd"] == "python train.py", seen
    for service in services:
        said = service.log.read_text()
        assert "Traceback" not in said and "[error" not in said, said


def test_one_waits_for_another_that_fails_or_ends(mariadb: MariaDb) -> None:
    url = mariadb.database(f"alone_{uuid.uuid4().hex[:8]}")
    first, second = Database(url), Database(url)
    held, go_on, order = threading.Event(), threading.Event(), []

    def fail() -> None:
        with contextlib.suppress(RuntimeError), first.alone("x"):
            held.set()
            go_on.wait(30)
            order.append("first")
            raise RuntimeError

    thread = threading.Thread(target=fail)
    thread.start()
    held.wait(30)
    with second.alone("y"):  # another lock is free
        pass
    go_on.set()
    with second.alone("x"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    with first.alone("x"):  # and what was held by a connection of the pool is free again
        pass
    first.close()
    second.close()


def test_a_service_that_is_suspended_in_a_transaction_holds_up_nobody(
    mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submarine_ray.core.database.IDLE_SECONDS", 1)
    url = mariadb.database(f"suspended_{uuid.uuid4().hex[:8]}")
    suspended, other = Database(url), Database(url)
    of_mlflow = create_engine(url)
    hold_up_nobody(of_mlflow)  # as its stores' engines, which MLflow makes
    with of_mlflow.connect() as connection:
        assert connection.scalar(text("SELECT @@idle_write_transaction_timeout")) == 1
    of_mlflow.dispose()
    with other.session(write=True) as session:
        session.execute(text("CREATE TABLE row_of_it (id INT PRIMARY KEY, n INT)"))
        session.execute(text("INSERT INTO row_of_it VALUES (1, 0)"))
    with pytest.raises(DatabaseUnavailable), suspended.session(write=True) as holding:
        holding.execute(text("UPDATE row_of_it SET n = 1"))
        with other.session(write=True) as session:  # waits until the server has ended the transaction above
            session.execute(text("UPDATE row_of_it SET n = n + 10"))
    with other.session() as session:
        assert session.scalar(text("SELECT n FROM row_of_it")) == 10
    suspended.close()
    other.close()


def test_who_loses_the_connection_while_it_is_alone_has_done_its_work_and_keeps_no_other_out(mariadb: MariaDb) -> None:
    url = mariadb.database(f"alone_{uuid.uuid4().hex[:8]}")
    one, other = Database(url), Database(url)
    with one.alone("a_lock"), other.engine.connect() as connection:
        # Of this database alone; the server's restart would do the same to all.
        mine = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        for id in connection.scalars(text(mine)).all():
            connection.execute(text(f"KILL {id}"))
    with other.alone("a_lock"):
        pass
    one.close()
    other.close()
