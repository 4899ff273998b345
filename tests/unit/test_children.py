"""Programs that the service starts inherit nothing of its secrets."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import submarine_ray
from submarine_ray.core import children

ROOT = Path(submarine_ray.__file__).parent
CONTROL_PLANE = ("access", "clusters", "core", "environments", "experiments", "models", "notebooks", "serving",
                 "templates", "tracking", "workbench")  # fmt: skip
STARTS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}


def test_what_is_the_services_own_stays_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"SUBMARINE_TOKEN", "SUBMARINE_DATABASE_URL", "_MLFLOW_SERVER_FILE_STORE", "MLFLOW_REGISTRY_URI"}
    for name in own:
        monkeypatch.setenv(name, "mysql+pymysql://u:planted-password@db/x")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    found = children.environment()
    assert not own & set(found) and "planted-password" not in str(found)
    assert found["HTTPS_PROXY"] == "http://proxy" and found["PATH"]


def test_every_program_that_the_control_plane_starts_gets_that_environment() -> None:
    files = [file for part in CONTROL_PLANE for file in (ROOT / part).rglob("*.py")]
    calls = [
        (file.name, {one.arg: ast.unparse(one.value) for one in node.keywords})
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in STARTS
    ]
    assert len(calls) >= 2
    assert [name for name, given in calls if given.get("env") != "children.environment()"] == []
