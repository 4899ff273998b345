"""A Ray Serve application that hosts one MLflow model, with dynamic batching.

Speaks MLflow's scoring protocol (`POST .../invocations` with `inputs` or `dataframe_split`) and the Open Inference
Protocol v2 (`/v2/models/{name}/infer`, `/v2/health/ready`). Bad input is a 400 that names the expected signature.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import orjson
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from serve_apps.devices import see_own_gpus
from serve_apps.model import Model, load
from serve_apps.protocol import BadRequest, from_mlflow, from_v2, metadata, to_mlflow, to_v2

MAX_BATCH = 64
BATCH_WAIT_SECONDS = 0.002
log = logging.getLogger("ray.serve")


@serve.deployment(name="model")
class ModelDeployment:
    """One replica: holds the model, batches what arrives together."""

    def __init__(self, model_uri: str, model_name: str, model_version: str, tracking_uri: str) -> None:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
        see_own_gpus()
        self._name = model_name
        self._version = model_version
        begun = time.monotonic()
        self._model: Model = load(model_uri)
        took = time.monotonic() - begun
        log.info("Loaded %s version %s (%s) in %.1f s", model_name, model_version, self._model.kind, took)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_WAIT_SECONDS)
    async def _predict(self, inputs: list[Any]) -> list[Any]:
        found = self._model.predict_many(inputs)
        for failure in found:
            if isinstance(failure, Exception):
                log.error("The model could not answer", exc_info=failure)
        return found

    async def __call__(self, request: Request) -> Response:
        path = request.url.path.removeprefix(request.scope.get("root_path", "")).rstrip("/")
        status, content = await self.answer(request.method, path, await request.body())
        return Response(content, status, media_type="application/json")

    async def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and content for a request; `traffic.py` calls it too."""
        try:
            document = await self._post(path, body) if method == "POST" else self._get(path)
        except BadRequest as failure:
            log.warning("HTTP %d to %s: %s", failure.status, path[:100], str(failure)[:300])
            return failure.status, orjson.dumps({"error": str(failure)})
        return 200, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)

    async def _post(self, path: str, body: bytes) -> Any:
        if path in ("/invocations", ""):
            return to_mlflow(await self._predict(from_mlflow(body, self._model.signature)))
        if path.startswith("/v2/models/") and path.endswith("/infer"):
            inputs, request_id = from_v2(body, self._model.signature)
            return to_v2(await self._predict(inputs), self._name, self._version, request_id)
        raise BadRequest(f"there is nothing at {path}; POST to /invocations or /v2/models/{self._name}/infer", 404)

    def _get(self, path: str) -> Any:
        if path in ("/v2/health/ready", "/v2/health/live", "/ping", "/health"):
            return {"ready": True} if path.endswith("ready") else {"live": True}
        if path == f"/v2/models/{self._name}/ready":
            return {"name": self._name, "ready": True}
        if path in (f"/v2/models/{self._name}", ""):
            return metadata(self._name, self._version, self._model.signature, self._model.kind)
        raise BadRequest(f"there is nothing at {path}; GET /v2/models/{self._name} describes the model", 404)


def build(args: dict[str, str]) -> Any:
    """The application that the control service's configuration asks for."""
    deployment: Any = ModelDeployment
    return deployment.bind(args["model_uri"], args["model_name"], args["model_version"], args["tracking_uri"])
