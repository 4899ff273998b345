"""Secrets in what users store: nowhere in clear, and what answers show in their place can be sent back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi.testclient import TestClient
from sqlalchemy import Text

from submarine_ray.app import build
from submarine_ray.core.database import Table
from submarine_ray.core.errors import TrackingUnavailable
from submarine_ray.core.sealed import Sealed, Told
from submarine_ray.core.settings import Settings
from submarine_ray.experiments import answers, decide
from submarine_ray.experiments.perform import ClusterView
from submarine_ray.experiments.tables import ExperimentRow
from submarine_ray.spec.masks import HIDDEN
from submarine_ray.tracking.service import TrackingService
from tests.conftest import spec

URL = "/api/v1/experiment"
CANARY = "c4nary"
PIP = {"pipDependencies": [f"pkg @ https://me:{CANARY}-pip@index.example.org/pkg.whl"]}
# Documents of the platform's own making: no secret of a user's can be in them.
CLEAR = {
    "cluster.node_ids",
    "experiment.superseded",
    "notebook.superseded",
    "endpoint.model_uri",
    "endpoint_counts.buckets",
    "traffic.weights",
    "package_set.packages",
    "saved.document",  # views, panels and reports: made to be read by others
}


def secretive(**changes: Any) -> dict[str, Any]:
    """An experiment with a secret wherever there can be one."""
    variables = {
        "HF_TOKEN": f"{CANARY}-token",
        "PLAIN": {"value": f"{CANARY}-marked", "secret": True},
        "DATABASE": f"postgresql://me:{CANARY}-url@db/x",
        "LR": 0.1,
    }
    meta = {"name": "sealed", "framework": "Python", "cmd": f"python x.py --from https://me:{CANARY}-cmd@host/x"}
    git = {"url": f"https://me:{CANARY}-git@host/x.git", "username": "me", "password": f"{CANARY}-password"}
    return {
        "meta": {**meta, "envVars": variables},
        "environment": {"kernelSpec": PIP},
        "spec": {"Worker": {"resources": "cpu=1", "envVars": {"API_KEY": f"{CANARY}-role"}}},
        "code": {"syncMode": "git", "git": git},
        **changes,
    }


def template(name: str) -> dict[str, Any]:
    experiment = secretive(code={"syncMode": "http", "url": f"https://h/x.zip?X-Amz-Signature={CANARY}-s3"})
    experiment["meta"]["cmd"] += " --epochs {{epochs}}"
    experiment["meta"]["envVars"] |= {"PIN": "{{pin}}"}
    parameters = [
        {"name": "epochs", "value": "1"},
        {"name": "pin", "value": f"{CANARY}-pin", "secret": True},
    ]
    return {"name": name, "parameters": parameters, "experimentSpec": experiment}


def stored(api: httpx.Client, experiment_id: str) -> Any:
    platform = api.app.state.platform  # type: ignore[attr-defined]
    with platform.database.session() as session:
        return answers.stored_spec(session.get(ExperimentRow, experiment_id))


def made(api: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 200 and CANARY not in answer.text, answer.text
    return dict(answer.json()["result"])


def test_no_secret_is_answered_or_stored_in_clear(api: httpx.Client) -> None:
    id = made(api, "experiment", secretive())["experimentId"]
    environment = {"name": "sealed", "kernelSpec": PIP}
    made(api, "environment", environment)
    made(api, "template", template("sealed"))
    from_template = made(api, "experiment/sealed", {"params": {"pin": f"{CANARY}-given"}})["experimentId"]
    notebook = {"meta": {"name": "sealed"}, "spec": {"resources": "cpu=1", "envVars": {"API_KEY": f"{CANARY}-nb"}}}
    notebook_id = made(api, "notebook", {**notebook, "environment": {"name": "sealed"}})["notebookId"]
    paths = [
        *(
            "experiment",
            f"experiment/{id}",
            f"experiment/{id}/events",
            "experiment/logs",
            f"experiment/{from_template}",
        ),
        *("environment", "environment/sealed", "template", "template/sealed", "notebook", f"notebook/{notebook_id}"),
        *(f"notebook/{notebook_id}/events", "experiment?limit=10", f"experiment/{id}/params"),
    ]
    for path in paths:
        answer = api.get(f"/api/v1/{path}")
        assert answer.status_code == 200 and CANARY not in answer.text, path
    shown = api.get(f"/api/v1/experiment/{id}").json()["result"]["spec"]
    assert shown["meta"]["envVars"] == {
        "HF_TOKEN": HIDDEN, "PLAIN": HIDDEN, "DATABASE": f"postgresql://me:{HIDDEN}@db/x", "LR": "0.1",
    }  # fmt: skip
    assert shown["meta"]["secretVars"] == ["PLAIN"] and "secretVars" not in shown["spec"]["Worker"]
    told = {one["reason"]: one["message"] for one in api.get(f"/api/v1/experiment/{id}/events").json()["result"]}
    assert f"https://me:{HIDDEN}@index.example.org/pkg.whl" in told["PasswordInPackage"]
    assert stored(api, id).meta.env_vars["PLAIN"] == f"{CANARY}-marked"
    # A secret parameter's value stays secret in the variable that it goes into.
    assert stored(api, from_template).meta.env_vars["PIN"] == f"{CANARY}-given"
    home = api.app.state.platform.settings.layout  # type: ignore[attr-defined]
    for file in home.root.rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file


def test_a_refusal_quotes_no_password(api: httpx.Client) -> None:
    url = f"ht tp://me:{CANARY}@host/x"
    refused = [
        api.post("/api/v1/experiment", json=spec(code={"syncMode": "git", "git": {"url": url}})),
        api.post("/api/v1/environment", json={"name": "quoted", "kernelSpec": {"pipDependencies": [f"--index {url}"]}}),
    ]
    for answer in refused:
        assert answer.status_code == 400 and CANARY not in answer.text
        assert f"me:{HIDDEN}@host" in answer.json()["message"]


def test_every_column_of_documents_is_sealed_and_every_sentence_masked() -> None:
    """A new column of free text must be one of the three."""
    kinds = (Sealed, Told)
    open_texts = {
        f"{table.name}.{column.name}"
        for table in Table.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Text) and not isinstance(column.type, kinds)
    }
    assert {name for name in open_texts if not name.partition(".")[2].startswith("sealed")} == CLEAR


def test_a_mask_that_is_sent_back_keeps_the_secret(api: httpx.Client) -> None:
    before = made(api, "experiment", secretive())
    id, shown = before["experimentId"], before["spec"]
    assert api.patch(f"{URL}/{id}", json=shown).json()["result"]["attempt"] == 1  # nothing has changed
    shown["timeout"] = 60
    assert api.patch(f"{URL}/{id}", json=shown).json()["result"]["attempt"] == 2
    kept = stored(api, id)
    assert kept.meta.env_vars["HF_TOKEN"] == f"{CANARY}-token" and kept.code.git.password == f"{CANARY}-password"
    assert kept.code.git.url == f"https://me:{CANARY}-git@host/x.git" and CANARY in kept.meta.cmd
    assert kept.environment.kernel_spec.pip_dependencies == PIP["pipDependencies"]
    shown["meta"]["envVars"]["HF_TOKEN"] = "new"
    assert api.patch(f"{URL}/{id}", json=shown).json()["result"]["attempt"] == 3
    assert stored(api, id).meta.env_vars["HF_TOKEN"] == "new"
    shown["code"]["git"] |= {"url": "https://other/x.git"}
    refused = api.patch(f"{URL}/{id}", json=shown)
    assert refused.status_code == 400 and "code.git.password" in refused.json()["message"]


def test_a_mask_in_something_new_is_refused_unless_it_is_a_clone(api: httpx.Client) -> None:
    before = made(api, "experiment", secretive())
    refused = api.post(URL, json=before["spec"])
    assert refused.status_code == 400 and f"meta.cmd: {HIDDEN} stands for a secret" in refused.json()["message"]
    clone = api.post(URL, json=before["spec"], params={"cloneOf": before["experimentId"]}).json()["result"]
    assert stored(api, clone["experimentId"]).meta == stored(api, before["experimentId"]).meta
    assert api.post(URL, json=spec(), params={"cloneOf": "experiment-1-1"}).status_code == 404
    for path, body in {
        "environment": {"name": "m", "kernelSpec": {"pipDependencies": [f"x @ https://me:{HIDDEN}@h/x"]}},
        "notebook": {"meta": {"name": "m"}, "spec": {"resources": "cpu=1", "envVars": {"A": HIDDEN}}},
        "template": {"name": "m", "experimentSpec": {"spec": {"Worker": {"envVars": {"A": HIDDEN}}}}},
    }.items():
        answer = api.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 400 and HIDDEN in answer.json()["message"], answer.text


def test_environments_and_templates_are_changed_around_their_secrets(api: httpx.Client) -> None:
    made(api, "environment", {"name": "around", "kernelSpec": PIP})
    shown = api.get("/api/v1/environment/around").json()["result"]["environmentSpec"]["kernelSpec"]
    more = {"kernelSpec": {"pipDependencies": ["pandas", *shown["pipDependencies"]]}}
    assert api.patch("/api/v1/environment/around", json=more).status_code == 200
    platform = api.app.state.platform  # type: ignore[attr-defined]
    kernel = platform.environments.spec("around").kernel_spec
    assert kernel.pip_dependencies == ["pandas", *PIP["pipDependencies"]]
    made(api, "template", template("around"))
    answered = api.get("/api/v1/template/around").json()["result"]["experimentTemplateSpec"]
    changed = {**answered, "description": "other"}
    changed["parameters"] = [one for one in answered["parameters"] if not one["name"].startswith("spec.")][::-1]
    assert api.patch("/api/v1/template/around", json=changed).status_code == 200
    kept = platform.templates.spec("around")
    assert kept.description == "other" and kept.parameters[0].value == f"{CANARY}-pin"
    assert kept.experiment_spec["code"]["url"].endswith(f"{CANARY}-s3")


@pytest.mark.parametrize("value", [{"secret": True}, {"value": "x", "colour": 1}, {"value": "x", "secret": "yes"}, [1]])
def test_a_variable_that_is_marked_wrongly_is_refused(api: httpx.Client, value: Any) -> None:
    meta = {"name": "x", "framework": "Python", "cmd": "true", "envVars": {"A": value}}
    answer = api.post(URL, json=spec(meta=meta))
    assert answer.status_code == 400 and "envVars.A" in answer.json()["message"], answer.text


@pytest.fixture
def without_mlflow(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has one MLflow, and here it is that of `api`; Alembic, which makes its tables, is for one at a time."""
    api.app.state.platform.tracking.wait_ready()  # type: ignore[attr-defined]

    def absent(*_: object) -> None:
        raise TrackingUnavailable("there is none")

    monkeypatch.setattr(TrackingService, "start", lambda self: None)
    monkeypatch.setattr(TrackingService, "wait_ready", absent)


def service(home: Path, key: str) -> TestClient:
    return TestClient(build(Settings(home=home, secret_key=key)), base_url="http://127.0.0.1:32080")  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_mlflow")
def test_what_an_earlier_version_has_stored_is_sealed_and_a_lost_key_blocks_nothing_else(
    tmp_path: Path,
) -> None:
    keys = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="]
    with service(tmp_path, keys[0]) as api:
        id = made(api, "experiment", secretive())["experimentId"]
        password = api.app.state.platform._secrets.seal(f"{CANARY}-old")  # type: ignore[attr-defined]
        notebook = made(api, "notebook", {"meta": {"name": "lost"}, "spec": {"resources": "cpu=1"}})["notebookId"]
        made(api, "environment", {"name": "lost", "kernelSpec": PIP})
        made(api, "template", template("lost"))
        made(api, "cluster", {"name": "lost", "address": "http://10.1.2.3:8265", "labels": {"zone": "a"}})
        file = api.app.state.platform.settings.layout.database  # type: ignore[attr-defined]
    old = secretive()
    old["code"]["git"]["password"] = HIDDEN
    old["meta"]["envVars"]["PLAIN"] = f"{CANARY}-marked"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE experiment SET spec = ?, sealed_password = ?", (json.dumps(old), password))
    assert CANARY.encode() in file.read_bytes() + Path(f"{file}-wal").read_bytes()
    database.close()
    with service(tmp_path, keys[0]) as api:
        assert stored(api, id).code.git.password == f"{CANARY}-old"
        for left in (file, Path(f"{file}-wal")):
            assert CANARY.encode() not in left.read_bytes()
    with structlog.testing.capture_logs() as logs, service(tmp_path, keys[1]) as api:
        assert "documents.key_lost" in [line["event"] for line in logs]
        for path in ("experiment", "notebook", "environment", "template", "cluster", "experiment/logs"):
            listed = api.get(f"/api/v1/{path}")
            assert listed.status_code == 200 and len(listed.json()["result"]) > 0, (path, listed.text)
        for path in (f"experiment/{id}", f"notebook/{notebook}", "environment/lost", "template/lost", "cluster/lost"):
            assert api.get(f"/api/v1/{path}").status_code == 200, path
        assert api.get(f"{URL}/{id}").json()["result"]["spec"]["meta"]["name"] == "sealed"
        platform = api.app.state.platform  # type: ignore[attr-defined]
        with platform.database.session() as session:
            row = session.get(ExperimentRow, id)
        observed = ClusterView(None, decide.Observed(), frozenset())  # type: ignore[arg-type]
        values = platform.experiment_engine._feature.perform(row, decide.Submit(), observed).values
        assert (values["status"], values["reason"]) == ("Failed", "SecretLost")
        assert "SUBMARINE_SECRET_KEY is not the key" in values["message"]
        assert api.patch(f"{URL}/{id}", json=secretive()).json()["result"]["attempt"] == 2
        assert made(api, "experiment", secretive())["status"] == "Accepted"
        assert api.delete("/api/v1/cluster/lost", params={"force": True}).status_code == 200
