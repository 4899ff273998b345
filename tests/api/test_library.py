"""The library: listed at start beside users' own templates, and read-only."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import httpx
import pytest
import yaml
from fastapi.testclient import TestClient

from submarine_ray.app import build
from submarine_ray.core.settings import Settings
from submarine_ray.packages.service import PackageService
from submarine_ray.packages.store import PackageStore
from submarine_ray.spec.answers.templates import StoredTemplate
from submarine_ray.spec.json_types import text_at
from submarine_ray.templates import library
from submarine_ray.workbench.template_offers import in_order, is_first

NAMES = sorted(file.parent.name for file in library.directory().glob("*/template.yaml"))
VALUES = {
    "model": "houses",
    "data": "/data/houses.parquet",
    "command": "true",
    "repository": "https://host/team/project.git",
    "script": "train.py --epochs 3",
}
URL = "/api/v1/template"


@pytest.mark.parametrize("name", NAMES)
def test_each_is_listed_described_and_makes_an_experiment(api: httpx.Client, name: str) -> None:
    spec = api.get(f"{URL}/{name}").json()["result"]["experimentTemplateSpec"]
    assert spec["readOnly"] is True and spec["version"] and spec["description"] and spec["author"]
    assert spec["needs"] and (spec.get("duration") or any(p["required"] == "true" for p in spec["parameters"]))
    own = [p for p in spec["parameters"] if not p["name"].startswith("spec.")]
    assert all(p["description"] for p in own)
    readme = (library.directory() / name / "README.md").read_text()
    assert f"submarine run-template {name}" in readme and "**Requirements:**" in readme and "**Results:**" in readme
    given = {p["name"]: VALUES[p["name"]] for p in own if p["required"] == "true"}
    made = api.post(f"/api/v1/experiment/{name}", json={"params": given})
    assert made.status_code == 200, made.text
    api.delete(f"/api/v1/experiment/{made.json()['result']['experimentId']}")


def test_each_brings_the_modules_that_its_code_imports(tmp_path: Path) -> None:
    """What several templates share is included by each; who includes a script needs what that imports as well."""
    packages = PackageService(PackageStore(tmp_path), None)  # type: ignore[arg-type] # nothing is pruned
    shared = {file.stem for file in (library.directory() / "_common").glob("*.py")}
    for spec in library.load(packages):
        if text_at(spec.experiment_spec, "code", "syncMode") != "package":
            continue
        with zipfile.ZipFile(packages.file(text_at(spec.experiment_spec, "code", "url") or "")) as archive:
            code = {Path(one).stem: archive.read(one) for one in archive.namelist() if one.endswith(".py")}
        nodes = [node for text in code.values() for node in ast.walk(ast.parse(text))]
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert imported & shared <= code.keys(), spec.name


def test_what_is_safe_is_offered_first(api: httpx.Client) -> None:
    """A newcomer begins with seconds on one CPU; sweeps and what wants values come last."""
    stored = [StoredTemplate.model_validate(one["experimentTemplateSpec"]) for one in api.get(URL).json()["result"]]
    found = [one for one in stored if one.read_only]  # other tests' own may be there
    first = next(one for one in found if one.name == "sklearn-tabular")
    mine = first.model_copy(update={"name": "mine", "read_only": False})
    names = [one.name for one in in_order([*found, mine])]
    assert names[:2] == ["sklearn-tabular", "mine"]
    assert names[-6:] == ["automl-tabular", "hpo-pytorch", "hpo-xgboost", "batch-predict", "python", "shell"]
    assert not is_first(first.model_copy(update={"read_only": False})), "a user's own may do anything"


def test_nobody_changes_them(api: httpx.Client) -> None:
    spec = api.get(f"{URL}/shell").json()["result"]["experimentTemplateSpec"]
    body = {key: value for key, value in spec.items() if key != "readOnly"}
    for answer in (api.patch(f"{URL}/shell", json=body), api.delete(f"{URL}/shell"), api.post(URL, json=body)):
        assert answer.status_code == 409, answer.text
    assert "another name" in api.delete(f"{URL}/shell").json()["message"]
    mine = api.post(URL, json={**body, "name": "my-shell"})
    assert mine.status_code == 200 and "readOnly" not in mine.json()["result"]["experimentTemplateSpec"]


def test_a_new_start_brings_new_versions_and_drops_what_is_gone_but_not_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str, version: str) -> None:
        folder = tmp_path / "library" / name
        folder.mkdir(parents=True, exist_ok=True)
        experiment = {"meta": {"name": name, "framework": "Shell", "cmd": "true"}, "spec": {"Worker": {"replicas": 1}}}
        (folder / "template.yaml").write_text(
            yaml.safe_dump({"name": name, "version": version, "experimentSpec": experiment})
        )
        (folder / "code.py").write_text(f"print({version!r})")

    def start(home: str) -> TestClient:
        """A service on the same database, without its background work."""
        app = build(Settings(home=tmp_path / home, database_url=f"sqlite:///{tmp_path}/shared.db"))  # type: ignore[arg-type]
        platform = app.state.platform
        platform.database.migrate()
        platform.templates.load_library(library.load(platform.packages))
        return TestClient(app, base_url="http://127.0.0.1:32080")

    monkeypatch.setattr(library, "directory", lambda: tmp_path / "library")
    write("stays", "1.0.0")
    write("goes", "1.0.0")
    client = start("one")
    first = client.get(f"{URL}/stays").json()["result"]
    client.post(URL, json={"name": "taken", "experimentSpec": first["experimentTemplateSpec"]["experimentSpec"]})
    write("stays", "2.0.0")
    write("taken", "1.0.0")
    (tmp_path / "library" / "goes" / "template.yaml").unlink()
    client = start("two")
    second = client.get(f"{URL}/stays").json()["result"]
    assert second["experimentTemplateId"] == first["experimentTemplateId"]
    assert second["experimentTemplateSpec"]["version"] == "2.0.0"
    code = [result["experimentTemplateSpec"]["experimentSpec"]["code"]["url"] for result in (first, second)]
    assert code[0] != code[1] and all(url.startswith("package://") for url in code)
    assert client.get(f"{URL}/goes").status_code == 404
    assert "readOnly" not in client.get(f"{URL}/taken").json()["result"]["experimentTemplateSpec"]
