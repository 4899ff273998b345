"""Templates over REST: as documented, and at their edges."""

from __future__ import annotations

import shlex
from typing import Any

import httpx
import pytest

URL = "/api/v1/template"
COMMAND = "python /var/tf_mnist/mnist_with_summaries.py --log_dir=/train/log --learning_rate={{learning_rate}} --batch_size={{batch_size}}"


def template(name: str = "my-tf-mnist-template", **changes: Any) -> dict[str, Any]:
    """The example of Submarine's "Experiment Template REST API"."""
    return {
        "name": name,
        "author": "author",
        "description": "This is a template to run tf-mnist",
        "parameters": [
            {"name": "learning_rate", "value": 0.1, "required": True, "description": "This is learning_rate of training."},
            {"name": "batch_size", "value": 150, "required": True, "description": "This is batch_size of training."},
            {"name": "experiment_name", "value": "tf-mnist1", "required": True, "description": "the name of experiment."},
        ],
        "experimentSpec": {
            "meta": {"cmd": COMMAND, "name": "{{experiment_name}}", "envVars": {"ENV1": "ENV1"}, "framework": "TensorFlow", "namespace": "default"},
            "spec": {"Ps": {"replicas": 1, "resources": "cpu=1,memory=1024M"}, "Worker": {"replicas": 1, "resources": "cpu=1,memory=1024M"}},
            "environment": {"image": "apache/submarine:tf-mnist-with-summaries-1.0"},
        },
        **changes,
    }  # fmt: skip


def small(name: str, parameters: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    whole = {
        "meta": {"name": "t", "framework": "Python", "cmd": "python t.py"},
        "spec": {"Worker": {"resources": "cpu=1"}},
        **spec,
    }
    return {"name": name, "parameters": parameters, "experimentSpec": whole}


def test_create_get_list_patch_submit_delete_as_documented(api: httpx.Client) -> None:
    result = api.post(URL, json=template()).json()["result"]
    assert set(result["experimentTemplateId"]) == {"id", "serverTimestamp"}
    shown = result["experimentTemplateSpec"]
    assert [(p["name"], p["required"], p["value"]) for p in shown["parameters"]] == [
        ("learning_rate", "true", "0.1"), ("batch_size", "true", "150"), ("experiment_name", "true", "tf-mnist1"),
        ("spec.Ps.replicas", "false", "1"), ("spec.Ps.resourceMap.cpu", "false", "1"), ("spec.Ps.resourceMap.memory", "false", "1024M"),
        ("spec.Worker.replicas", "false", "1"), ("spec.Worker.resourceMap.cpu", "false", "1"), ("spec.Worker.resourceMap.memory", "false", "1024M"),
    ]  # fmt: skip
    assert shown["experimentSpec"] == {
        "meta": {"experimentId": None, "name": "{{experiment_name}}", "namespace": "default", "framework": "TensorFlow", "cmd": COMMAND, "envVars": {"ENV1": "ENV1"}, "tags": []},
        "environment": {"name": None, "dockerImage": None, "kernelSpec": None, "description": None, "image": "apache/submarine:tf-mnist-with-summaries-1.0"},
        "spec": {
            role: {"replicas": 1, "resources": "cpu=1,memory=1024M", "name": None, "image": None, "cmd": None, "envVars": None, "resourceMap": {"memory": "1024M", "cpu": "1"}}
            for role in ("Ps", "Worker")
        },
        "code": None,
    }  # fmt: skip
    assert api.get(f"{URL}/my-tf-mnist-template").json()["result"] == result
    assert result in api.get(URL).json()["result"]
    patched = api.patch(f"{URL}/my-tf-mnist-template", json=template(author="author-new")).json()["result"]
    assert patched["experimentTemplateSpec"]["author"] == "author-new"
    body = {
        "name": "tf-mnist",
        "params": {"learning_rate": "0.01", "batch_size": "150", "experiment_name": "newexperiment1"},
    }
    made = api.post("/api/v1/experiment/my-tf-mnist-template", json=body).json()["result"]
    assert made["status"] == "Accepted" and made["spec"]["meta"]["name"] == "newexperiment1"
    assert "--learning_rate=0.01 --batch_size=150" in made["spec"]["meta"]["cmd"]
    assert made["spec"]["spec"]["Ps"]["resources"] == "cpu=1,memory=1024M"
    assert api.delete(f"{URL}/my-tf-mnist-template").json()["result"] == patched
    assert api.get(f"{URL}/my-tf-mnist-template").json()["code"] == 404
    assert api.post("/api/v1/experiment/my-tf-mnist-template", json=body).json()["code"] == 404


def test_what_the_service_shows_can_be_sent_back(api: httpx.Client) -> None:
    shown = api.post(URL, json=template("round")).json()["result"]["experimentTemplateSpec"]
    again = api.patch(f"{URL}/round", json=shown).json()
    assert again["success"], again["message"]
    assert again["result"]["experimentTemplateSpec"] == shown
    api.delete(f"{URL}/round")


def test_yaml_and_the_old_name_of_parameters(api: httpx.Client) -> None:
    text = """
name: from-yaml
experimentTemplateParamSpec:
  - {name: rate, value: 0.5}
experimentSpec:
  meta: {name: y, framework: Shell, cmd: "echo {{rate}}"}
  spec: {Worker: {replicas: 1, resources: "cpu=1"}}
"""
    answer = api.post(URL, content=text, headers={"Content-Type": "application/yaml"}).json()
    assert answer["result"]["experimentTemplateSpec"]["parameters"][0]["value"] == "0.5"
    api.delete(f"{URL}/from-yaml")


def test_numbers_gpus_and_implicit_parameters(api: httpx.Client) -> None:
    body = small(
        "sizes",
        [{"name": "n", "value": "2"}],
        spec={"Worker": {"replicas": "{{n}}", "resources": "cpu=2,nvidia.com/gpu=1"}},
    )
    api.post(URL, json=body)
    made = api.post("/api/v1/experiment/sizes", json={"params": {"spec.Worker.resourceMap.cpu": "1"}}).json()["result"]
    assert made["spec"]["spec"]["Worker"]["resourceMap"] == {"cpu": "1", "nvidia.com/gpu": "1"}  # Submarine lost it
    body = small("sizes2", [{"name": "n", "value": "2"}], spec={"Worker": {"replicas": "{{n}}", "resources": "cpu=2"}})
    api.post(URL, json=body)
    given = {"n": "3", "spec.Worker.resourceMap.cpu": "0.5", "spec.Worker.resourceMap.memory": "64M"}
    worker = api.post("/api/v1/experiment/sizes2", json={"params": given}).json()["result"]["spec"]["spec"]["Worker"]
    assert (worker["replicas"], worker["resourceMap"]) == (3, {"cpu": "0.5", "memory": "64M"})
    more = {"params": {"spec.Worker.resourceMap.gpu": "0.5"}}
    worker = api.post("/api/v1/experiment/sizes2", json=more).json()["result"]["spec"]["spec"]["Worker"]
    assert worker["resourceMap"] == {"cpu": "2", "nvidia.com/gpu": "0.5"}
    listed = api.get(f"{URL}/sizes").json()["result"]["experimentTemplateSpec"]["parameters"]
    assert [(one["name"], one["value"]) for one in listed][-1] == ("spec.Worker.resourceMap.gpu", "1")
    for name in ("sizes", "sizes2"):
        api.delete(f"{URL}/{name}")


def test_a_product_of_parameters_books_what_all_workers_hold(api: httpx.Client) -> None:
    parameters = [{"name": "workers", "value": "2"}, {"name": "gpus", "value": "0"}]
    spec = {"Worker": {"resources": "cpu=1,nvidia.com/gpu={{workers * gpus}}"}}
    meta = {"name": "t", "framework": "Ray", "cmd": "x {{workers}} {{gpus}}"}
    assert api.post(URL, json=small("product", parameters, spec=spec, meta=meta)).status_code == 200
    made = api.post("/api/v1/experiment/product", json={"params": {"workers": "4", "gpus": "0.5"}}).json()["result"]
    assert made["spec"]["spec"]["Worker"]["resourceMap"] == {"cpu": "1", "nvidia.com/gpu": "2"}
    refused = api.post("/api/v1/experiment/product", json={"params": {"gpus": "one"}})
    assert refused.status_code == 400 and "params.gpus: 'one' is not a number" in refused.json()["message"]
    unknown = api.post(URL, json=small("product2", parameters[:1], spec=spec, meta={**meta, "cmd": "x {{workers}}"}))
    assert unknown.status_code == 400 and "{{gpus}} has no parameter" in unknown.json()["message"]
    api.delete(f"{URL}/product")


@pytest.mark.parametrize(
    ("parameters", "spec", "said"),
    [
        ([], {"meta": {"name": "t", "framework": "Python", "cmd": "x {{rate}}"}}, "experimentSpec.meta.cmd: {{rate}} has no parameter"),
        ([{"name": "unused", "value": "1"}], {}, "parameters: 'unused' is used nowhere"),
        ([], {"spec": {}}, "experimentSpec.spec: is required"),
        ([], {"spec": {"Worker": {"resources": "cpu=abc"}}}, "spec.Worker.resources: cpu='abc' is not a number of cores"),
        ([], {"meta": {"name": "t", "framework": "Caffe", "cmd": "x"}}, "unknown framework 'Caffe'"),
    ],
)  # fmt: skip
def test_templates_that_can_make_no_experiment_are_refused(
    api: httpx.Client, parameters: list[dict[str, Any]], spec: dict[str, Any], said: str
) -> None:
    answer = api.post(URL, json=small("bad", parameters, **spec))
    assert answer.status_code == 400 and said in answer.json()["message"], answer.json()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "params.rate: is required"),
        ({"rate": "1", "colour": "red"}, "params.colour: the template has no such parameter; it has rate, "),
        ({"rate": "1", "spec.Worker.replicas": "many"}, "from params.spec.Worker.replicas"),
        ({"rate": "1", "spec.Worker.resourceMap.memory": "12XB"}, "from params.spec.Worker.resourceMap.memory"),
        ({"rate": "1", "name": "a/b"}, "from params.name"),
    ],
)
def test_bad_values_are_refused_by_name(api: httpx.Client, params: dict[str, str], said: str) -> None:
    meta = {"name": "{{name}}", "framework": "Python", "cmd": "x {{rate}}"}
    api.post(
        URL, json=small("values", [{"name": "rate", "required": "true"}, {"name": "name", "value": "v"}], meta=meta)
    )
    answer = api.post("/api/v1/experiment/values", json={"params": params})
    assert answer.status_code == 400 and said in answer.json()["message"], answer.json()
    api.delete(f"{URL}/values")


TYPED = [
    {"name": "rate", "value": 0.1},
    {"name": "fast", "value": True},
    {"name": "note", "value": "7", "type": "text"},
    {"name": "epochs", "value": 3, "type": "integer", "minimum": 1, "maximum": 100},
    {"name": "kind", "value": "a", "choices": ["a", "b"]},
    {"name": "limit"},
]
TYPED_SPEC = {
    "meta": {
        "name": "typed",
        "framework": "Python",
        "cmd": "x {{rate}} {{fast}} {{note}} {{epochs}} {{kind}} {{limit}}",
    }
}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rate": "fast"}, "params.rate: 'fast' is not a number"),
        ({"rate": ""}, "params.rate: '' is not a number"),
        ({"rate": "nan"}, "params.rate: 'nan' is not a number"),
        ({"fast": "1"}, "params.fast: '1' is neither true nor false"),
        ({"epochs": "2.5"}, "params.epochs: '2.5' is not a whole number"),
        ({"epochs": "0"}, "params.epochs: 0 is less than 1"),
        ({"epochs": "101"}, "params.epochs: 101 is more than 100"),
        ({"kind": "c"}, "params.kind: 'c' is none of a, b"),
        ({"meta.name": "no blanks"}, "from params.meta.name"),
        ({"rate": "1e-4", "fast": "False", "note": "none", "epochs": "100", "kind": "b", "limit": "all"}, None),
    ],
)
def test_values_have_the_types_of_their_parameters(api: httpx.Client, params: dict[str, str], said: str | None) -> None:
    """Types are the template's, or what the defaults tell; the preview says what a submission would."""
    api.post(URL, json=small("typed", TYPED, **TYPED_SPEC))
    shown = api.get(f"{URL}/typed").json()["result"]["experimentTemplateSpec"]["parameters"]
    assert (shown[3]["type"], shown[3]["minimum"], shown[4]["choices"]) == ("integer", 1, ["a", "b"])
    assert "type" not in shown[0]
    for path in (f"{URL}/typed/preview", "/api/v1/experiment/typed"):
        answer = api.post(path, json={"params": params})
        if said is not None:
            assert answer.status_code == 400 and said in answer.json()["message"], answer.text
            continue
        spec = answer.json()["result"] if path.endswith("preview") else answer.json()["result"]["spec"]
        assert spec["meta"]["cmd"] == "x 1e-4 False none 100 b all"
    api.delete(f"{URL}/typed")


def test_a_template_whose_default_does_not_fit_is_refused_and_every_run_can_be_named(api: httpx.Client) -> None:
    for wrong, said in (
        ({"value": "x", "type": "number"}, "the value of 'rate' does not fit: 'x' is not a number"),
        ({"value": "3", "maximum": 2}, "the value of 'rate' does not fit: 3 is more than 2"),
        ({"value": "3", "choices": ["1", "2"]}, "'3' is none of 1, 2"),
        ({"value": "3", "type": "colour"}, "type"),
    ):
        refused = api.post(URL, json=small("unfit", [{"name": "rate", **wrong}]))
        assert refused.status_code == 400 and said in refused.json()["message"], refused.text
    meta = {"name": "{{which}}", "framework": "Python", "cmd": "x"}
    for name, parameters, body in (("plain", [], {}), ("asks", [{"name": "which", "value": "w"}], {"meta": meta})):
        api.post(URL, json=small(name, parameters, **body))
        named = {"params": {"meta.name": "my-run"}}
        assert api.post(f"{URL}/{name}/preview", json=named).json()["result"]["meta"]["name"] == "my-run"
        made = api.post(f"/api/v1/experiment/{name}", json=named).json()["result"]
        assert made["spec"]["meta"]["name"] == "my-run"
        api.delete(f"{URL}/{name}")


@pytest.mark.parametrize("value", ["{{rate}}{{name}}", "$1 \\1 \\g<0>", "'; DROP TABLE x; --", "ünïcödé ☃"])
def test_values_are_put_in_as_they_are(api: httpx.Client, value: str) -> None:
    """A value is no template, no pattern, no SQL, and one argument."""
    meta = {"name": "n", "framework": "Shell", "cmd": "echo {{rate}}", "envVars": {"RATE": "{{rate}}"}}
    api.post(URL, json=small("literal", [{"name": "rate", "required": "true"}], meta=meta))
    made = api.post("/api/v1/experiment/literal", json={"params": {"rate": value}}).json()["result"]
    assert made["spec"]["meta"]["envVars"] == {"RATE": value}
    assert shlex.split(made["spec"]["meta"]["cmd"]) == ["echo", value]
    api.delete(f"{URL}/literal")


@pytest.mark.parametrize("framework", ["Shell", "Python"])
def test_a_value_is_one_argument_of_a_command_several_or_the_command(api: httpx.Client, framework: str) -> None:
    roles = {"Worker": {"cmd": "train.py --own '{{rate}}'"}}
    meta = {"name": "n", "framework": framework, "cmd": 'train.py "{{rate}}" --rate={{rate}} {{*rate}} $(HOME)'}
    api.post(URL, json=small("words", [{"name": "rate", "required": "true"}], meta=meta, spec=roles))
    value = "it's two words"
    refused = api.post("/api/v1/experiment/words", json={"params": {"rate": value}})  # `*` splits as a shell does
    assert refused.status_code == 400 and "No closing quotation" in refused.json()["message"]
    made = api.post("/api/v1/experiment/words", json={"params": {"rate": "two words"}}).json()["result"]["spec"]
    assert shlex.split(made["spec"]["Worker"]["cmd"]) == ["train.py", "--own", "two words"]
    given = ["train.py", "two words", "--rate=two words", "two", "words", "$(HOME)"]
    assert shlex.split(made["meta"]["cmd"]) == given
    api.post(URL, json=small("whole", [{"name": "rate"}], meta=meta | {"cmd": " {{rate}} "}, spec={"Worker": {}}))
    made = api.post("/api/v1/experiment/whole", json={"params": {"rate": "nvidia-smi | head -3"}}).json()["result"]
    assert made["spec"]["meta"]["cmd"] == "nvidia-smi | head -3"


@pytest.mark.parametrize(
    ("framework", "cmd", "params", "said"),
    [
        (
            "Shell",
            "echo `{{rate}}`",
            None,
            "meta.cmd: cannot be filled in: {{rate}} stands after a backquote",
        ),
        ("Python", "echo '{{rate}}", None, "cannot be filled in: No closing quotation"),
        ("Shell", "echo {{*rate}}", {"rate": "it's"}, "meta.cmd: cannot be filled in: No closing quotation"),
        ("Python", "echo {{rate}}", {"rate": "a\0b"}, "params.rate: has a NUL character"),
    ],
)
def test_a_command_that_cannot_be_filled_in_is_refused(
    api: httpx.Client, framework: str, cmd: str, params: dict[str, str] | None, said: str
) -> None:
    meta = {"name": "n", "framework": framework, "cmd": cmd}
    made = api.post(URL, json=small("odd", [{"name": "rate", "required": "true"}], meta=meta))
    answer = api.post("/api/v1/experiment/odd", json={"params": params}) if params else made
    assert answer.status_code == 400 and said in answer.json()["message"]


def test_clashes_and_renames(api: httpx.Client) -> None:
    api.post(URL, json=small("one", []))
    assert api.post(URL, json=small("one", [])).status_code == 409
    assert api.patch(f"{URL}/one", json=small("two", [])).status_code == 400
    assert api.patch(f"{URL}/none", json=small("none", [])).status_code == 404
    assert api.delete(f"{URL}/one").status_code == 200


def test_tags_of_experiments(api: httpx.Client) -> None:
    meta = {"name": "tagged", "framework": "Shell", "cmd": "true", "tags": ["first"]}
    body = {"meta": meta, "spec": {"Worker": {"resources": "cpu=1"}}}
    id = api.post("/api/v1/experiment", json=body).json()["result"]["experimentId"]
    other = api.post("/api/v1/experiment", json={**body, "meta": {**meta, "tags": []}}).json()["result"]["experimentId"]
    url = f"/api/v1/experiment/{id}/tag"
    assert api.post(url, params={"tag": "seconde ☃"}).json()["result"]["spec"]["meta"]["tags"] == ["first", "seconde ☃"]
    found = api.get("/api/v1/experiment", params={"tag": "seconde ☃"}).json()["result"]
    assert [e["experimentId"] for e in found] == [id] and other != id
    assert api.delete(url, params={"tag": "first"}).json()["result"]["spec"]["meta"]["tags"] == ["seconde ☃"]
    assert api.get("/api/v1/experiment", params={"tag": "first"}).json()["result"] == []
    assert api.post(url, params={"tag": " "}).status_code == 400
    assert api.post("/api/v1/experiment/experiment-1-1/tag", params={"tag": "x"}).status_code == 404
    page = api.get("/api/v1/experiment", params={"limit": 1}).json()
    following = api.get("/api/v1/experiment", params={"limit": 1, "cursor": page["attributes"]["nextCursor"]}).json()
    assert [e["experimentId"] for e in (*page["result"], *following["result"])] == [other, id]
    assert api.get("/api/v1/experiment/mlflow").json()["result"]["url"] == "/mlflow/"
    assert api.get("/api/v1/experiment/tensorboard").json()["result"] == {"available": True, "url": "/tensorboard/"}


def test_a_template_that_begins_with_another(api: httpx.Client) -> None:
    child = {
        "name": "begins-with-library",
        "base": "pytorch-mnist",
        "parameters": [{"name": "epochs", "value": 2}, {"name": "note", "value": "x"}],
        "experimentSpec": {
            "meta": {"name": "quick", "envVars": {"NOTE": "{{note}}"}},
            "spec": {"Worker": {"replicas": 3}},
        },
    }
    made = api.post(URL, json=child).json()["result"]["experimentTemplateSpec"]
    base = api.get(f"{URL}/pytorch-mnist").json()["result"]["experimentTemplateSpec"]
    values = {p["name"]: p["value"] for p in made["parameters"]}
    assert (values["epochs"], values["batch_size"], values["note"], values["spec.Worker.replicas"]) == (
        "2",
        "32",
        "x",
        "3",
    )
    described = {p["name"]: p["description"] for p in made["parameters"]}
    assert described["epochs"] == "How often to go through the data" and made["base"] == "pytorch-mnist"
    assert made["experimentSpec"]["code"] == base["experimentSpec"]["code"] and "readOnly" not in made
    made = api.post("/api/v1/experiment/begins-with-library", json={"params": {"epochs": 1}}).json()["result"]
    assert (
        made["spec"]["meta"]["envVars"] == {"NOTE": "x"} and "--epochs 1 --batch-size 32" in made["spec"]["meta"]["cmd"]
    )
    assert (made["spec"]["meta"]["name"], made["spec"]["spec"]["Worker"]["replicas"]) == ("quick", 3)
    api.delete(f"/api/v1/experiment/{made['experimentId']}")
    chained = api.post(URL, json={"name": "begins-with-child", "base": "begins-with-library"})
    api.delete(f"{URL}/begins-with-library")
    assert chained.status_code == 200 and api.get(f"{URL}/begins-with-child").status_code == 200
    for body, said in (
        ({"name": "x", "base": "no-such"}, "base: there is no other template"),
        ({"name": "x", "base": "x"}, "base: there is no other template"),
        ({"name": "x"}, "experimentSpec is required, or a base"),
        ({"name": "x", "base": "shell", "parameters": [{"name": "unused", "value": "1"}]}, "'unused' is used nowhere"),
    ):
        refused = api.post(URL, json=body)
        assert refused.status_code == 400 and said in refused.json()["message"], refused.text
