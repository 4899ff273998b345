"""`ModelClient` and `ServeClient`: registered models, their versions, and endpoints that serve them."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from submarine_ray.client.errors import EndpointFailed
from submarine_ray.client.http import PATIENCE_SECONDS, Service, later
from submarine_ray.client.spool import Run
from submarine_ray.client.torch_models import load_pyfunc
from submarine_ray.spec.references import model_reference
from submarine_ray.spec.serving import EndpointStatus

SERVE_SECONDS = 180.0
LOOK_SECONDS = 0.5
_MODELS, _VERSIONS, _SERVE = "/api/v1/registered-model", "/api/v1/model-version", "/api/v1/serve"


class ModelClient:
    """Registers and manages models; arguments and errors as of EnvironmentClient.

    Source: Submarine's "Register Model REST API" and "Model Version REST API".
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def create_model(self, name: str, description: str | None = None, tags: Sequence[str] = ()) -> None:
        """Create a registered model without versions."""
        self.service.call("POST", _MODELS, json={"name": name, "description": description, "tags": list(tags)})

    def list_models(self) -> list[dict[str, Any]]:
        """Return all registered models."""
        return list(self.service.call("GET", _MODELS))

    def get_model(self, name: str) -> dict[str, Any]:
        """Return a registered model."""
        return dict(self.service.call("GET", f"{_MODELS}/{quote(name, safe='')}"))

    def update_model(self, name: str, new_name: str | None = None, description: str | None = None) -> None:
        """Rename or describe a model; versions and tags follow."""
        body = {"name": new_name, "description": description}
        self.service.call("PATCH", f"{_MODELS}/{quote(name, safe='')}", json=body)

    def delete_model(self, name: str) -> None:
        """Delete a model with its versions. Refused while a version is served or in Production."""
        self.service.call("DELETE", f"{_MODELS}/{quote(name, safe='')}")

    def add_tag(self, name: str, tag: str, version: int | None = None) -> None:
        """Add a tag to a model, or to one of its versions."""
        self._tag("POST", name, tag, version)

    def remove_tag(self, name: str, tag: str, version: int | None = None) -> None:
        """Remove a tag from a model, or from one of its versions."""
        self._tag("DELETE", name, tag, version)

    def register(self, name: str, experiment_id: str, base_dir: str | None = None, **more: Any) -> dict[str, Any]:
        """Register what an experiment saved as the model's next version.

        Args:
            name: the model; made if there is none of that name.
            experiment_id: what saved it.
            base_dir: which of the models that the experiment saved; not needed where it saved one.
            more: `description`, `currentStage`, `dataset`, `tags`; `trialId`, which trial of a sweep saved it.
        """
        body = {"name": name, "experimentId": experiment_id, **more}
        return dict(self.service.call("POST", _VERSIONS, json=body, params={"baseDir": base_dir} if base_dir else {}))

    def list_aliases(self, name: str) -> dict[str, int]:
        """Return the version that each alias of a model names."""
        return dict(self.get_model(name).get("aliases", {}))

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Name a version, such as `champion`. An alias that names another version is moved. Endpoints keep theirs."""
        self.service.call("PUT", _alias(name, alias), json={"version": version})

    def remove_alias(self, name: str, alias: str) -> None:
        """Remove an alias; its version stays."""
        self.service.call("DELETE", _alias(name, alias))

    def get_version_by_alias(self, name: str, alias: str) -> dict[str, Any]:
        """Return the version that an alias names."""
        return dict(self.service.call("GET", _alias(name, alias)))

    def list_versions(self, name: str) -> list[dict[str, Any]]:
        """Return a model's versions."""
        return list(self.service.call("GET", f"{_VERSIONS}/{quote(name, safe='')}"))

    def get_version(self, name: str, version: int) -> dict[str, Any]:
        """Return a version."""
        return dict(self.service.call("GET", f"{_VERSIONS}/{quote(name, safe='')}/{version}"))

    def get_signature(self, name: str, version: int) -> dict[str, Any]:
        """Return a version's inputs and outputs, and an example request."""
        return dict(self.service.call("GET", f"{_VERSIONS}/{quote(name, safe='')}/{version}/signature"))

    def get_details(self, name: str, version: int) -> dict[str, Any]:
        """Return the metrics and parameters of the run that saved a version, and its size, flavors and packages."""
        return dict(self.service.call("GET", f"{_VERSIONS}/{quote(name, safe='')}/{version}/details"))

    def get_lineage(self, name: str, version: int) -> dict[str, Any]:
        """Return a version's experiment, commit and datasets, the endpoint that serves it, and who used it."""
        return dict(self.service.call("GET", f"{_VERSIONS}/{quote(name, safe='')}/{version}/lineage"))

    def update_version(self, name: str, version: int, **changes: Any) -> None:
        """Change `description`, `currentStage` or `dataset` of a version."""
        self.service.call("PATCH", _VERSIONS, json={"name": name, "version": version, **changes})

    def set_stage(self, name: str, version: int, stage: str) -> None:
        """Move a version to None, Developing, Production or Archived."""
        self.update_version(name, version, currentStage=stage)

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version. Refused while it is served or in Production."""
        self.service.call("DELETE", f"{_VERSIONS}/{quote(name, safe='')}/{version}")

    def load_model(self, name: str, version: int | str | None = None) -> Any:
        """Load the model as MLflow's pyfunc in this process. Formats other than `pt2` may run code.

        In an experiment the model becomes an input of its run, so that the model's lineage names the experiment.

        Args:
            name: the model; without a version, `NAME@ALIAS` or `models:/NAME@ALIAS`.
            version: its number, or an alias.
        """
        import mlflow

        mlflow.set_tracking_uri(f"{self.service.host}/mlflow")
        if self.service.token:  # MLflow reads it from there alone
            os.environ.setdefault("MLFLOW_TRACKING_TOKEN", self.service.token)
        model = load_pyfunc(model_reference(name, version).uri)
        run = Run.from_env(os.environ)
        if run and run.uri.rstrip("/") == f"{self.service.host}/mlflow":
            _note_use(run.run_id, model)
        return model

    def _tag(self, method: str, name: str, tag: str, version: int | None) -> None:
        base, which = (_MODELS, {}) if version is None else (_VERSIONS, {"version": str(version)})
        self.service.call(method, f"{base}/tag", params={"name": name, "tag": tag, **which})


def _note_use(run_id: str, model: Any) -> None:
    """Make a loaded model an input of a run; one that was saved outside of MLflow's runs has no id to name it by."""
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelInput
    from mlflow.exceptions import MlflowException

    if model_id := model.metadata.model_id:
        try:
            MlflowClient().log_inputs(run_id, models=[LoggedModelInput(model_id)])
        except MlflowException as failure:  # who only predicts is not to fail for it
            warnings.warn(f"the lineage of {model_id} will not name this experiment: {failure}", stacklevel=3)


def _alias(name: str, alias: str) -> str:
    return f"{_MODELS}/{quote(name, safe='')}/alias/{quote(alias, safe='')}"


class ServeClient:
    """Serves model versions; arguments and errors as of EnvironmentClient. Source: Submarine's "Serve REST API"."""

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def create_serve(
        self, model_name: str, model_version: int | str | None = None, async_req: bool = False, **more: Any
    ) -> Any:
        """Create an endpoint; its `url` answers once its `status` is Running.

        Args:
            model_name: a registered model; without a version, `NAME@ALIAS` or `models:/NAME@ALIAS`.
            model_version: which of its versions: its number, or an alias, whose version is served as it is now.
            async_req: answer at once with an AsyncResult, whose `.get()` has the endpoint.
            more: `replicas`, `resources`, `cluster`.
        """
        which = model_reference(model_name, model_version)
        named = {"modelAlias": which.alias} if which.alias else {"modelVersion": which.version}
        body = {"modelName": which.name, **named, **more}

        def create() -> dict[str, Any]:
            return dict(self.service.call("POST", _SERVE, json=body))

        return later(create) if async_req else create()

    def wait_until_running(self, model_name: str, model_version: int, timeout: float = SERVE_SECONDS) -> dict[str, Any]:
        """Wait until the endpoint answers; return it. Raises EndpointFailed; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            endpoint = self.get_serve(model_name, model_version)
            if endpoint["status"] == EndpointStatus.RUNNING:
                return endpoint
            if endpoint["status"] == EndpointStatus.FAILED:
                raise EndpointFailed(endpoint)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{endpoint['name']} is {endpoint['status']} after {timeout:g} s")
            time.sleep(LOOK_SECONDS)

    def get_serve(self, model_name: str, model_version: int) -> dict[str, Any]:
        """Return an endpoint."""
        return dict(self.service.call("GET", f"{_SERVE}/{quote(model_name, safe='')}/{model_version}"))

    def scale(self, model_name: str, model_version: int, replicas: int) -> dict[str, Any]:
        """Change the number of replicas. No request is lost meanwhile."""
        path = f"{_SERVE}/{quote(model_name, safe='')}/{model_version}"
        return dict(self.service.call("PATCH", path, json={"replicas": replicas}))

    def share_traffic(self, model_name: str, weights: Mapping[int, int]) -> dict[str, Any]:
        """Split a model's requests between its served versions: `{1: 90, 2: 10}`. They go to its `invocationsUrl`."""
        path = f"{_SERVE}/{quote(model_name, safe='')}/traffic"
        body = {"weights": {str(version): weight for version, weight in weights.items()}}
        return dict(self.service.call("PUT", path, json=body))

    def get_traffic(self, model_name: str) -> dict[str, Any]:
        """Return how a model's requests are split."""
        return dict(self.service.call("GET", f"{_SERVE}/{quote(model_name, safe='')}/traffic"))

    def list_traffic(self) -> list[dict[str, Any]]:
        """Return the split of each model whose requests are split."""
        return list(self.service.call("GET", f"{_SERVE}/traffic"))

    def traffic_metrics(self, model_name: str) -> dict[str, Any]:
        """Return requests and errors per second and latency in ms of the shared URL, and of each of its `versions`,
        with the share that it is to get (`wanted`) and has got (`share`).
        """
        return dict(self.service.call("GET", f"{_SERVE}/{quote(model_name, safe='')}/traffic/metrics"))

    def stop_sharing(self, model_name: str) -> None:
        """End the split: the common URL is removed, each version's own URL stays."""
        self.service.call("DELETE", f"{_SERVE}/{quote(model_name, safe='')}/traffic")

    def metrics(self, model_name: str, model_version: int) -> dict[str, Any]:
        """Return requests and errors per second and latency in ms, of the last half minute, with their history."""
        return dict(self.service.call("GET", f"{_SERVE}/{quote(model_name, safe='')}/{model_version}/metrics"))

    def figures(self, model_name: str, model_version: int) -> dict[str, Any]:
        """Return what `metrics` returns, with the history under its older name `course`."""
        return dict(self.service.call("GET", f"{_SERVE}/{quote(model_name, safe='')}/{model_version}/figures"))

    def replicas(self, model_name: str, model_version: int) -> list[dict[str, Any]]:
        """Return the replicas of an endpoint."""
        return list(self.service.call("GET", f"{_SERVE}/{quote(model_name, safe='')}/{model_version}/replicas"))

    def replica_log(self, model_name: str, model_version: int, replica_id: str, lines: int = 500) -> str:
        """Return the last lines of a replica's log."""
        path = f"{_SERVE}/{quote(model_name, safe='')}/{model_version}/replicas/{quote(replica_id, safe='')}/log"
        return str(self.service.call("GET", path, params={"lines": lines}))

    def list_serves(self) -> list[dict[str, Any]]:
        """Return all endpoints."""
        return list(self.service.call("GET", _SERVE))

    def delete_serve(self, model_name: str, model_version: int, async_req: bool = False) -> Any:
        """Stop serving a version; `async_req` as of create_serve."""
        body = {"modelName": model_name, "modelVersion": model_version}

        def delete() -> None:
            self.service.call("DELETE", _SERVE, json=body)

        return later(delete) if async_req else delete()
