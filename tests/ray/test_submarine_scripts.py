"""Scripts, saved documents and habits of Submarine's users, as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import submarine_ray as submarine
from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray

SCRIPT = """
import os
import submarine

submarine.log_param("learning_rate", "0.1")
for step in range(3):
    submarine.log_metric("accuracy", step / 3, step)
print("logged to", submarine.get_tracking_uri(), "by", os.environ["JOB_ID"])
submarine.set_tracking_uri("http://127.0.0.1:1/mlflow")
assert submarine.get_tracking_uri() == "http://127.0.0.1:1/mlflow"
"""


def test_a_script_that_imports_submarine_runs_unmodified(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    id = platform.submit(
        "python train.py --logs $(SUBMARINE_TENSORBOARD_LOG_DIR)",
        "Python",
        workers=2,
        code={"syncMode": "local", "url": str(tmp_path)},
    )
    assert platform.ended(id)["status"] == "Succeeded", platform.client.get_log(id)
    assert platform.lines(id)["worker-1"] == [f"logged to {platform.url}/mlflow by {id}"]
    metrics = platform.client.metrics(id)
    assert {(m["replica"], m["key"], m["step"]) for m in metrics} == {
        ("worker-0", "accuracy", 2),
        ("worker-1", "accuracy", 2),
    }


def test_clients_and_commands_for_environments_templates_and_models(platform: RunningPlatform, tmp_path: Path) -> None:
    environments, templates = submarine.EnvironmentClient(platform.url), submarine.TemplateClient(platform.url)
    (tmp_path / "environment.yaml").write_text(yaml.safe_dump({"name": "sdk-env", "dockerImage": "x/y:1"}))
    assert platform.cli("create", "environment", "-f", str(tmp_path / "environment.yaml")).stdout == "sdk-env\n"
    environments.update_environment("sdk-env", {"description": "d"})
    assert environments.get_environment("sdk-env")["environmentSpec"]["dockerImage"] == "x/y:1"
    assert "x/y:1" in platform.cli("list", "environment").stdout
    assert "Environment(name = sdk-env )" in platform.cli("get", "environment", "sdk-env").stdout
    assert platform.cli("delete", "environment", "sdk-env", "--wait").stdout == "Environment(name = sdk-env ) deleted\n"
    with pytest.raises(submarine.ApiError, match="Environment not found") as caught:
        environments.delete_environment("sdk-env")
    assert caught.value.code == 404
    spec = {
        "name": "sdk-template",
        "parameters": [{"name": "word", "required": "true"}],
        "experimentSpec": {
            "meta": {"name": "said", "framework": "Shell", "cmd": "echo {{word}}"},
            "spec": {"Worker": {"resources": "cpu=0.5"}},
        },
    }
    (tmp_path / "template.json").write_text(json.dumps(spec))
    assert platform.cli("create", "template", "-f", str(tmp_path / "template.json")).stdout == "sdk-template\n"
    id = templates.submit_template("sdk-template", {"word": 42})["experimentId"]
    assert platform.ended(id)["status"] == "Succeeded" and platform.lines(id) == {"worker-0": ["42"]}
    assert "sdk-template" in [t["experimentTemplateSpec"]["name"] for t in templates.list_templates()]
    assert "word" in platform.cli("list", "template").stdout
    assert (
        platform.cli("delete", "template", "sdk-template", "--wait").stdout
        == "Template(name = sdk-template ) deleted\n"
    )
    models = submarine.ModelClient(platform.url)
    models.create_model("sdk-model", "d", ["t"])
    models.add_tag("sdk-model", "u")
    models.update_model("sdk-model", new_name="sdk-model-2")
    assert models.get_model("sdk-model-2")["tags"] == ["t", "u"] and models.list_versions("sdk-model-2") == []
    assert "sdk-model-2" in platform.cli("list", "model").stdout
    assert json.loads(platform.cli("get", "model", "sdk-model-2", "-o", "json").stdout)["versions"] == []
    refused = platform.cli("create", "serve", "sdk-model-2", "1", check=False)
    assert refused.returncode == 1 and "not found" in refused.stderr
    assert platform.cli("delete", "model", "sdk-model-2", "--wait").stdout == "Model(name = sdk-model-2 ) deleted\n"
