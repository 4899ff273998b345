"""`submarine config`, as Submarine's CLI documents it, and the CLI without a service."""

from __future__ import annotations

import http.server
import importlib.metadata
import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from submarine_ray.spec.home import Home
from tests.conftest import SUBMARINE, free_port


@pytest.fixture
def submarine(tmp_path: Path):  # type: ignore[no-untyped-def]
    env = {k: v for k, v in os.environ.items() if not k.startswith("SUBMARINE_")} | {"SUBMARINE_HOME": str(tmp_path)}

    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*SUBMARINE, *arguments], env=env | variables, capture_output=True, text=True, timeout=60)

    return call


def test_config_init_list_get_set(submarine) -> None:  # type: ignore[no-untyped-def]
    assert submarine("config", "init").stdout == "Submarine CLI Config initialized\n"
    assert submarine("config", "get", "connection.port").stdout == "connection.port=32080\n"
    assert submarine("config", "set", "connection.port", "8080").returncode == 0
    assert submarine("config", "set", "connection.hostname", "submarine.example.org").returncode == 0
    listed = submarine("config", "list", "-o", "json").stdout
    assert json.loads(listed) == {"connection": {"hostname": "submarine.example.org", "port": 8080}}
    shown = submarine("config", "list").stdout
    assert "SubmarineCliConfig" in shown and '"port": 8080' in shown
    assert submarine("config", "init").returncode == 0
    assert submarine("config", "get", "connection.hostname").stdout == "connection.hostname=localhost\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("config", "get", "connection.colour"), "there is no setting 'connection.colour'"),
        (("config", "set", "connection.port", "many"), "'many' is not a port"),
        (
            ("run", "--env", "NOVALUE", "--", "true"),
            "--env 'NOVALUE': there is no such variable here; write NOVALUE=VALUE",
        ),
    ],
)
def test_what_is_wrong_is_one_line(submarine, arguments: tuple[str, ...], said: str) -> None:  # type: ignore[no-untyped-def]
    done = submarine(*arguments)
    assert done.returncode == 1 and done.stderr.startswith("Error: ") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_version_is_the_packages(submarine) -> None:  # type: ignore[no-untyped-def]
    assert submarine("--version").stdout == f"submarine-ray {importlib.metadata.version('submarine-ray')}\n"


def test_without_a_service_the_cli_says_how_to_start_one(submarine) -> None:  # type: ignore[no-untyped-def]
    submarine("config", "set", "connection.port", str(free_port()))
    done = submarine("list", "experiment")
    assert done.returncode == 1 and "does not answer" in done.stderr and "submarine up" in done.stderr


def test_up_with_somebody_else_on_the_port_starts_nothing(submarine, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as somebody:
        threading.Thread(target=somebody.serve_forever, daemon=True).start()
        done = submarine("up", SUBMARINE_PORT=str(somebody.server_port))
        somebody.shutdown()
    assert done.returncode == 1 and "is taken by a program that is not this home's" in done.stderr
    assert not Home(tmp_path).ray_state.exists()


def test_a_variable_without_a_value_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from submarine_ray.cli.main import _variables

    monkeypatch.setenv("HF_TOKEN", "a=b")
    assert _variables(["HF_TOKEN", "LR=0.1", "EMPTY="]) == {"HF_TOKEN": "a=b", "LR": "0.1", "EMPTY": ""}
