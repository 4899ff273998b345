"""docs/submarine-compat.md has a row for everything that Submarine documents, and each row's test exists."""

from __future__ import annotations

import ast
import re
import tempfile
from pathlib import Path

import pytest

from submarine_ray.app import build
from submarine_ray.core.settings import Settings

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "submarine-compat.md"
# Of the published SDK 0.8.0, as `inspect` shows them; the generated APIs' twins with headers are left out.
PUBLISHED = {
    "ExperimentClient": "create_experiment patch_experiment get_experiment get_experiment_async list_experiments "
    "list_experiments_async delete_experiment delete_experiment_async get_log list_log wait_for_finish",
    "EnvironmentClient": "create_environment create_environment_async update_environment get_environment "
    "get_environment_async list_environments list_environments_async delete_environment delete_environment_async",
    "NotebookClient": "create_notebook get_notebook get_notebook_async list_notebooks list_notebooks_async "
    "delete_notebook delete_notebook_async",
    "ServeClient": "create_serve delete_serve",
    "SubmarineClient": "log_metric log_param save_model create_serve delete_serve",
    "ModelsClient": "start log_param log_params log_metric log_metrics save_model load_model update_model delete_model",
    "ExperimentApi": "get_artifact_paths get_tensorboard_info get_m_lflow_info ping submit_experiment_template",
    "ExperimentTemplateApi": "create_experiment_template get_experiment_template",
    "ExperimentTemplatesApi": "list_experiment_template update_experiment_template delete_experiment_template",
    "RegisteredModelApi": "create_registered_model list_registered_models get_registered_model update_registered_model "
    "delete_registered_model create_registered_model_tag delete_registered_model_tag ping3",
    "ModelVersionApi": "create_model_version list_model_versions get_model_version update_model_version "
    "delete_model_version create_model_version_tag delete_model_version_tag ping1",
    "NotebookApi": "ping2",
    "ServeApi": "create_serve delete_serve ping4",
    "submarine": "log_param log_metric save_model get_tracking_uri set_tracking_uri",
}
COMMANDS = [
    "config init", "config list", "config get", "config set", "list experiment", "get experiment", "delete experiment",
    "list environment", "get environment", "delete environment", "list notebook", "get notebook", "delete notebook",
    "create serve", "delete serve", "list serve", "get serve", "sandbox start", "sandbox delete",
]  # fmt: skip


def _rows() -> list[tuple[str, str]]:
    """(what, test) of every row that names something."""
    lines = [line.strip().strip("|").split("|") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [(cells[0].strip(), cells[-1].strip()) for cells in lines]


def _tests() -> set[str]:
    found = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        names = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
        found |= {f"{file.relative_to(ROOT / 'tests')}::{name}" for name in names if name.startswith("test_")}
    return found


def test_every_row_has_a_test_that_exists() -> None:
    known = _tests()
    for what, named in _rows():
        tests = re.findall(r"[\w/]+\.py::\w+", named)
        assert tests or named.startswith("none: "), what
        assert not set(tests) - known, what


@pytest.mark.parametrize(("owner", "methods"), PUBLISHED.items())
def test_every_method_has_a_row(owner: str, methods: str) -> None:
    rows = {what for what, _ in _rows()}
    missing = [name for name in methods.split() if f"`{owner}.{name}`" not in rows]
    assert not missing


def test_every_command_has_a_row() -> None:
    rows = {what for what, _ in _rows()}
    assert not [command for command in COMMANDS if f"`submarine {command}`" not in rows]


def test_every_endpoint_has_a_row(tmp_path: Path) -> None:
    document = build(Settings(home=Path(tempfile.mkdtemp(dir=tmp_path)))).openapi()
    rows = {what for what, _ in _rows()}
    endpoints = [
        f"`{method.upper()} {path.removeprefix('/api/v1')}`"
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith("/api/v1/")
    ]
    assert not [
        endpoint
        for endpoint in endpoints
        if re.sub(r"\{\w+\}", "{}", endpoint) not in {re.sub(r"\{\w+\}", "{}", row) for row in rows}
    ]
