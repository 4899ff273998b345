"""Bodies as users would send them: shown in the OpenAPI document, and sent in its tests."""

from __future__ import annotations

from submarine_ray.spec.json_types import JsonObject

_EXPERIMENT: JsonObject = {
    "meta": {
        "name": "mnist",
        "namespace": "default",
        "framework": "PyTorch",
        "cmd": "python train.py --lr 0.01",
        "envVars": {"EPOCHS": "3"},
        "tags": ["baseline"],
    },
    "environment": {"name": "notebook-env"},
    "spec": {
        "Master": {"replicas": 1, "resources": "cpu=1,memory=1024M"},
        "Worker": {"replicas": 1, "resources": "cpu=1,memory=1024M"},
    },
    "code": {"syncMode": "git", "git": {"url": "https://github.com/apache/submarine.git", "branch": "master"}},
}
_KERNEL: JsonObject = {
    "name": "team_python",
    "channels": ["defaults"],
    "condaDependencies": [],
    "pipDependencies": ["pandas==2.2.3", "pyarrow"],
}

EXAMPLES: dict[str, JsonObject] = {
    "ExperimentSpec": _EXPERIMENT,
    "NewEnvironment": {"name": "team-env", "dockerImage": "continuumio/anaconda3", "kernelSpec": _KERNEL},
    "ProvenanceReport": {
        "python": "3.12.3",
        "platform": "Linux-6.8.0-x86_64",
        "packages": {"numpy": "2.3.4", "torch": "2.9.0"},
        "commit": "3f1c0a9b2d4e5f60718293a4b5c6d7e8f9012345",
    },
    "MetricBatch": {
        "writer": "worker-0",
        "sequence": 1,
        "keys": ["loss", "accuracy"],
        "key": [0, 1, 0],
        "step": [1, 1, 2],
        "timestamp": [1790000000000, 1790000000000, 1790000000250],
        "value": [0.5, 0.81, "NaN"],
    },
    "EnvironmentPatch": {"description": "pandas and pyarrow", "kernelSpec": {"pipDependencies": ["pandas==2.2.3"]}},
    "TemplateSpec": {
        "name": "mnist-template",
        "author": "author",
        "description": "Trains with a learning rate",
        "parameters": [
            {"name": "learning_rate", "value": 0.1, "required": True, "description": "Of the optimizer"},
            {"name": "experiment_name", "value": "mnist", "required": False, "description": "Of the experiment"},
        ],
        "experimentSpec": {
            "meta": {
                "name": "{{experiment_name}}",
                "namespace": "default",
                "framework": "PyTorch",
                "cmd": "python train.py --lr {{learning_rate}}",
            },
            "spec": {"Worker": {"replicas": 1, "resources": "cpu=1,memory=1024M"}},
        },
    },
    "ExtensionSpec": {"samples": 5},
    "TemplateSubmission": {"name": "mnist-template", "params": {"learning_rate": "0.01", "experiment_name": "first"}},
    "NotebookSpec": {
        "meta": {"name": "test-nb", "namespace": "default", "ownerId": "e9ca23d68d884d4ebb19d07889727dae"},
        "environment": {"name": "notebook-env"},
        "spec": {"envVars": {"TEST_ENV": "test"}, "resources": "cpu=1,memory=1.0Gi"},
    },
    "RegisteredModelSpec": {"name": "register", "description": "Digits", "tags": ["vision"]},
    "RegisteredModelPatch": {"name": "digits", "description": "Handwritten digits"},
    "ModelAliasSpec": {"version": 3},
    "ModelVersionSpec": {
        "name": "register",
        "experimentId": "experiment-1655368052180-0001",
        "description": "The first",
        "dataset": "mnist",
        "tags": ["cnn"],
    },
    "BulkChange": {"action": "tag", "tag": "diverged", "filter": "metrics.loss > 10 and age < 1d"},
    "NewSaved": {
        "name": "Low loss",
        "document": {"filter": "metrics.loss < 0.1", "sort": "metrics.loss", "column": ["status", "metrics.loss"]},
        "audience": "team",
    },
    "SavedPatch": {"name": "Lowest loss", "audience": "private"},
    "NoticeSettings": {"kinds": ["experiment", "endpoint"]},
    "ModelVersionPatch": {"name": "register", "version": 1, "currentStage": "Production"},
    "ServeSpec": {"modelName": "register", "modelVersion": 1},
    "EndpointPatch": {"replicas": 2},
    "TrafficSpec": {"weights": {"1": 90, "2": 10}},
    "RayClusterSpec": {"name": "vm", "address": "http://10.0.0.5:8265", "token": "the cluster's token"},
    "KubeRayClusterSpec": {
        "name": "kind",
        "kind": "kuberay",
        "kubeconfigFile": "~/.kube/config",
        "context": "kind-kind",
        "namespace": "default",
    },
}
