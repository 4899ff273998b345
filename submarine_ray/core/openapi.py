"""The OpenAPI document, completed with what FastAPI cannot know: refusals in the envelope, YAML bodies, parameters."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

from submarine_ray.spec.batch import MetricBatch
from submarine_ray.spec.examples import EXAMPLES
from submarine_ray.spec.spool import batches

_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The request is invalid; the message names the field and what to write there",
    HTTPStatus.UNAUTHORIZED: "The token is missing or wrong",
    HTTPStatus.FORBIDDEN: "The request comes from a page or for a host that is not this service's",
    HTTPStatus.NOT_FOUND: "The resource does not exist",
    HTTPStatus.METHOD_NOT_ALLOWED: "The path does not support this method",
    HTTPStatus.CONFLICT: "The name is taken, or the state does not allow it",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database, MLflow or a cluster does not answer; try again",
}
_PARAMETERS = {
    "experiment_id": "The experiment's id.",
    "trial_id": "The trial's id.",
    "id": "The notebook's id.",
    "name": "The resource's name.",
    "template": "The template's name.",
    "model_name": "The registered model's name.",
    "model_version": "The version's number.",
    "version": "The version's number.",
    "status": "Only those in this state; case is ignored.",
    "rerun": "Begin a new attempt even if only the name, tags, owner, team or notes have changed, or nothing.",
    "cloneOf": "The experiment whose secrets replace `**********` in the body.",
    "state": "Only those in this state: like status, except that a stopped experiment is Stopped and not Failed.",
    "tag": "A tag.",
    "alias": "The alias, such as `champion`.",
    "filter": "A condition, for example `metrics.loss < 0.1 and tag = demo`.",
    "sort": "The field to sort by; with `-` before it the highest value comes first.",
    "columns": "`metrics.NAME` or `params.NAME`; give it several times for several columns.",
    "by": "The field to group by: status, tag, owner, framework, cluster, name or `params.NAME`.",
    "shown": "The file's columns in their order: id, name, status, owner, framework, cluster, tags, created, started, "
    "finished, duration (seconds), `metrics.NAME` or `params.NAME`; without it all but the duration, then `columns`.",
    "contains": "A part of the name; case is ignored.",
    "submission": "The attempt's submission id.",
    "samples": "The number of samples that the sweep's driver makes.",
    "heard": "The version of the last answer; empty with the first request.",
    "run_id": "MLflow's id of the run.",
    "writer": "The name of the process that numbers its batches.",
    "run": "A random word that tells apart the runs of one attempt.",
    "page": "The page's number, from 1; used with pageSize.",
    "pageSize": "The number of items on a page; without it, all.",
    "limit": "The largest number of items; attributes.nextCursor is then the next page's cursor.",
    "cursor": "attributes.nextCursor of the previous answer.",
    "replica": "One replica: `worker-0`, a trial's: `trial-3fa2c_00004`, or an id from an endpoint's list of replicas.",
    "lines": "The largest number of lines.",
    "key": "The whole history of this metric, instead of the last value of each.",
    "session_id": "The session of a signed-in browser.",
    "path": "The path of an artifact, or of a directory of artifacts.",
    "attempt": "The attempt's number; without it, the current one.",
    "baseDir": "The saved model: `s3://submarine/experiment/<id>/<n>/`, or its name.",
    "force": "Remove the cluster without asking it: what still runs there counts as failed.",
    "digest": "The SHA-256 of an uploaded package.",
    "wait": "The longest time to wait, in seconds.",
    "kind": "Only deletions of this kind.",
    "saved_kind": "The kind of the saved documents, for example `experiment-view`.",
    "saved_id": "The saved document's id.",
    "offset": "The number of lines of each replica to skip.",
    "tail": "Only this number of last lines of each replica.",
    "step": "Only items of this training step.",
    "trial": "Only items of this trial of a sweep, by its id.",
    "preview": "The preview of an image, if there is one.",
    "follow": "Continue until the experiment has ended.",
    "last": "The last lines instead of those from `offset` on.",
    "after": "The number of lines to skip, in the order in which they were written.",
    "known": "The number of lines of all replicas that the client has: the cluster is not asked for them again.",
    "text": "The text to find; case is ignored.",
    "errors": "Find lines that report an error: a level, a traceback or an exception.",
}
ZIP = {"required": True, "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
_METHODS = ("get", "put", "post", "patch", "delete")


class Refusal(BaseModel):
    """The answer to a request that failed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: str
    """The name of the HTTP status: `NOT_FOUND`."""
    code: int
    """The code of the HTTP status."""
    success: bool
    """Always false."""
    message: str
    """What was wrong, where, and what to do."""
    result: None
    """Always null."""
    attributes: dict[str, Any]
    """Always empty."""


REFUSALS: dict[int | str, dict[str, Any]] = {
    status.value: {"model": Refusal, "description": description} for status, description in _REFUSALS.items()
}


def complete(app: FastAPI, has_token: bool) -> None:
    """Let `app.openapi()` answer the complete document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema = _completed(made, has_token)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any], has_token: bool) -> dict[str, Any]:
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if operation := operations.get(method):
                _complete_operation(path, operation)
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas[MetricBatch.__name__] = MetricBatch.model_json_schema()
    for name, example in EXAMPLES.items():
        # FastAPI tells input from output where the two differ.
        schemas[name if name in schemas else f"{name}-Input"]["examples"] = [example]
    if has_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)  # FastAPI's own; invalid input is 400 here
    for parameter in operation.get("parameters", ()):
        if "description" not in parameter:
            parameter["description"] = _PARAMETERS[parameter["name"]]
    content = operation.get("requestBody", {}).get("content", {})
    if path.startswith("/api/v1/") and "application/json" in content and path != batches.path("{run_id}"):
        content["application/yaml"] = content["application/json"]
