"""Drives a service with Submarine's own published SDK, in that SDK's own environment; prints what it answered as JSON.

    python published_sdk.py experiments|environments|templates|models|versions|notebooks http://127.0.0.1:32080

Imports nothing of this project: it is what a user of Apache Submarine has.
"""

import json
import sys
import time

import submarine
import submarine.client as generated
from submarine.client import ApiClient, ApiException, Configuration
from submarine.client.api.environment_client import EnvironmentClient
from submarine.client.api.notebook_client import NotebookClient
from submarine.client.api.serve_client import ServeClient

# The one user whose notebooks the published command lists (submarine/cli/notebook/command.py).
COMMAND_USER = "4291d7da9005377ec9aec4a71ea837f"
SPEC = {
    "meta": {"name": "compat", "namespace": "default", "framework": "Shell", "cmd": "echo from the published SDK", "envVars": {"A": "1"}},
    "environment": {"image": "apache/submarine:tf-mnist-with-summaries-1.0"},
    "spec": {"Worker": {"replicas": 1, "resources": "cpu=0.5,memory=64M"}},
}  # fmt: skip


def api_client(host):
    configuration = Configuration()
    configuration.host = host + "/api"
    return ApiClient(configuration=configuration)


def refused(call, *arguments, **named):
    """The status and message of a refusal."""
    try:
        call(*arguments, **named)
    except ApiException as failure:
        return [failure.status, json.loads(failure.body)["message"]]
    return None


def experiments(host):
    client = submarine.ExperimentClient(host)
    created = client.create_experiment(SPEC)
    id = created["experimentId"]
    # Its wait_for_finish ends on Succeeded and Deleted only, and hangs on Failed; this one succeeds.
    client.wait_for_finish(id, polling_interval=1)
    client.get_log(id)  # writes to the root logger, and answers nothing
    api = generated.ExperimentApi(api_client=api_client(host))
    found = {
        "created": created,
        "got": client.get_experiment(id),
        "got_async": client.get_experiment_async(id).get().result["status"],
        "listed": [e["experimentId"] for e in client.list_experiments()],
        "listed_succeeded": [e["experimentId"] for e in client.list_experiments("Succeeded")],
        "listed_async": len(client.list_experiments_async().get().result),
        "log": api.get_log(id).result,
        "logs": [e["experimentId"] for e in client.list_log("Succeeded")],
        "patched": client.patch_experiment(id, {**SPEC, "meta": {**SPEC["meta"], "cmd": "echo again"}})["status"],
    }
    client.wait_for_finish(id, polling_interval=1)
    found["artifacts"] = api.get_artifact_paths(id).result
    found["mlflow"] = api.get_m_lflow_info().result
    found["tensorboard"] = api.get_tensorboard_info().result
    found["ping"] = str(api.ping())
    found["deleted"] = client.delete_experiment(id)
    other = client.create_experiment(SPEC)["experimentId"]
    found["deleted_async"] = client.delete_experiment_async(other).get().result["status"]
    found["unknown"] = refused(client.get_experiment, "experiment-1-0001")
    found["invalid"] = refused(client.create_experiment, {**SPEC, "meta": {**SPEC["meta"], "framework": "Caffe"}})
    return found


def versions(host, experiment):
    shared = api_client(host)
    api, serves = generated.ModelVersionApi(shared), generated.ServeApi(shared)
    entity = {"name": "compat-version", "experimentId": experiment, "description": "d", "tags": ["t1"]}
    (saved,) = generated.ExperimentApi(shared).get_artifact_paths(experiment).result
    api.create_model_version(base_dir=saved, model_version_entity=entity)
    api.create_model_version_tag(name="compat-version", version="1", tag="t2")
    api.delete_model_version_tag(name="compat-version", version="1", tag="t1")
    api.update_model_version(model_version_entity={"name": "compat-version", "version": 1, "dataset": "houses"})
    found = {"got": api.get_model_version("compat-version", "1").result}
    found["listed"] = [v["version"] for v in api.list_model_versions("compat-version").result]
    found["served"] = ServeClient(host).create_serve("compat-version", 1, async_req=False).result
    found["again"] = serves.create_serve(serve_spec={"modelName": "compat-version", "modelVersion": 1}).result
    found["stage_served"] = api.get_model_version("compat-version", "1").result["currentStage"]
    serves.delete_serve(serve_spec={"modelName": "compat-version", "modelVersion": 1})
    found["unserved_twice"] = refused(ServeClient(host).delete_serve, "compat-version", 1, async_req=False)
    found["stage_after"] = api.get_model_version("compat-version", "1").result["currentStage"]
    return found


def remove_version(host, _experiment):
    api = generated.ModelVersionApi(api_client(host))
    api.delete_model_version("compat-version", "1")
    return {"left": api.list_model_versions("compat-version").result}


def environments(host):
    client = EnvironmentClient(host)
    spec = {
        "name": "compat-env",
        "dockerImage": "continuumio/anaconda3",
        "kernelSpec": {"name": "k", "channels": ["defaults"], "condaDependencies": [], "pipDependencies": ["pyarrow==0.17.0"]},
    }  # fmt: skip
    found = {
        "created": client.create_environment(spec),
        "clash": refused(client.create_environment, spec),
        "got": client.get_environment("compat-env"),
        "got_async": client.get_environment_async("compat-env").get().result["environmentId"],
        "listed": [e["environmentSpec"]["name"] for e in client.list_environments()],
        "listed_async": len(client.list_environments_async().get().result),
        "updated": client.update_environment("compat-env", {**spec, "description": "new"}),
        "deleted": client.delete_environment("compat-env"),
        "unknown": refused(client.get_environment, "compat-env"),
    }
    created = client.create_environment_async({**spec, "name": "compat-async"}).get().result
    found["created_async"] = created["environmentSpec"]["name"]
    found["deleted_async"] = client.delete_environment_async("compat-async").get().result["environmentId"]
    return found


def templates(host):
    shared = api_client(host)
    one, many = generated.ExperimentTemplateApi(shared), generated.ExperimentTemplatesApi(shared)
    spec = {
        "name": "compat-template",
        "author": "a",
        "parameters": [{"name": "word", "value": "hello", "required": "true", "description": "d"}],
        "experimentSpec": {**SPEC, "meta": {**SPEC["meta"], "cmd": "echo {{word}}"}},
    }
    found = {"created": one.create_experiment_template(experiment_template_spec=spec).result}
    found["got"] = one.get_experiment_template("compat-template").result
    found["listed"] = [t["experimentTemplateSpec"]["name"] for t in many.list_experiment_template().result]
    body = {"name": "compat-template", "params": {"word": "bye"}}
    submitted = generated.ExperimentApi(shared).submit_experiment_template(
        "compat-template", experiment_template_submit=body
    )
    found["submitted"] = submitted.result["spec"]["meta"]["cmd"]
    submarine.ExperimentClient(host).delete_experiment(submitted.result["experimentId"])
    found["updated"] = many.update_experiment_template(
        "compat-template", experiment_template_spec={**spec, "author": "b"}
    ).result["experimentTemplateSpec"]["author"]
    found["deleted"] = many.delete_experiment_template("compat-template").result["experimentTemplateSpec"]["name"]
    found["unknown"] = refused(one.get_experiment_template, "compat-template")
    return found


def models(host):
    shared = api_client(host)
    registered, versions = generated.RegisteredModelApi(shared), generated.ModelVersionApi(shared)
    registered.create_registered_model(
        registered_model_entity={"name": "compat-model", "description": "d", "tags": ["t1"]}
    )
    registered.create_registered_model_tag(name="compat-model", tag="t2")
    found = {"got": registered.get_registered_model("compat-model").result}
    registered.delete_registered_model_tag(name="compat-model", tag="t1")
    registered.update_registered_model("compat-model", registered_model_entity={"name": "compat-renamed"})
    found["renamed"] = registered.get_registered_model("compat-renamed").result
    found["listed"] = [m["name"] for m in registered.list_registered_models().result]
    found["versions"] = versions.list_model_versions("compat-renamed").result
    found["unknown_version"] = refused(versions.get_model_version, "compat-renamed", 7)
    found["unknown_update"] = refused(
        versions.update_model_version, model_version_entity={"name": "compat-renamed", "version": 7}
    )
    serve = ServeClient(host)
    found["serve_unknown"] = refused(serve.create_serve, "compat-renamed", 7, async_req=False)
    found["unserve_unknown"] = refused(serve.delete_serve, "compat-renamed", 7, async_req=False)
    registered.delete_registered_model("compat-renamed")
    found["deleted"] = refused(registered.get_registered_model, "compat-renamed")
    found["pings"] = [str(ping()) for ping in (registered.ping3, versions.ping1, generated.ServeApi(shared).ping4)]
    return found


def notebooks(host):
    client = NotebookClient(host)
    spec = {
        "meta": {"name": "compat-nb", "namespace": "default", "ownerId": COMMAND_USER},
        "environment": {"name": "notebook-env"},
        "spec": {"envVars": {"TEST_ENV": "test"}, "resources": "cpu=0.5,memory=0.5Gi"},
    }
    created = client.create_notebook(spec)
    id = created["notebookId"]
    found = {"created": created, "clash": refused(client.create_notebook, spec)}
    deadline = time.time() + 90
    while client.get_notebook(id)["status"] != "running" and time.time() < deadline:
        time.sleep(0.2)
    found["got"] = client.get_notebook(id)
    found["got_async"] = client.get_notebook_async(id).get().result["status"]
    found["listed"] = [n["notebookId"] for n in client.list_notebooks(COMMAND_USER)]
    found["listed_async"] = [n["notebookId"] for n in client.list_notebooks_async(COMMAND_USER).get().result]
    found["of_others"] = [n["notebookId"] for n in client.list_notebooks("somebody-else")]
    found["ping"] = str(generated.NotebookApi(api_client(host)).ping2())
    found["deleted"] = client.delete_notebook(id)
    other = client.create_notebook({**spec, "meta": {**spec["meta"], "name": "compat-async"}})["notebookId"]
    found["deleted_async"] = client.delete_notebook_async(other).get().result["status"]
    found["unknown"] = refused(client.get_notebook, id)
    found["invalid"] = refused(client.create_notebook, {**spec, "meta": {**spec["meta"], "name": "Upper Case"}})
    return found


if __name__ == "__main__":
    print("RESULT " + json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
