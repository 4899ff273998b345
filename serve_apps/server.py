"""One model's HTTP paths: what is asked, what is answered, and whether the process is to be trusted. Without Ray."""

from __future__ import annotations

import logging
import traceback
from functools import partial
from typing import Any

import orjson

from serve_apps import encoding, parsing
from serve_apps.errors import BadRequest, Busy, CannotServe, ModelFailed, Refusal
from serve_apps.model import Model
from serve_apps.parsing import V2_TYPES, Question
from serve_apps.predictions import Predictions
from serve_apps.signature import Signature, numpy_name

# Reading less takes less than handing it to a thread does.
SMALL_BODY = 64 * 1024
_V2_NAMES = {value: key for key, value in V2_TYPES.items()}
log = logging.getLogger("ray.serve")


class ModelServer:
    """Answers requests for one model, whatever serves HTTP."""

    def __init__(self, model: Model, name: str, version: str) -> None:
        self._model = model
        self._name = name
        self._version = version
        self._predictions = Predictions(model)
        self.broken: str | None = None
        """Why this process has to be replaced, once something happened that leaves it in doubt."""

    def check_example(self) -> None:
        """Answer the request that was saved with the model, if one was. Raises CannotServe."""
        if self._model.example is None:
            return
        try:
            self._whole("/invocations", "application/json", self._model.example, None)
        except BadRequest as failure:
            log.warning("The saved input example does not fit the signature: %s", failure)
        except ModelFailed as failure:
            said = " ".join(str(failure).split())
            raise CannotServe(f"The model does not answer its saved input example: {said}") from failure

    async def answer(self, method: str, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Status and content for a request."""
        try:
            if method != "POST":
                return 200, orjson.dumps(self._get(path))
            return 200, await self._post(path, content_type, body)
        except Refusal as failure:
            self._note(path, failure)
            return failure.status, orjson.dumps({"error": str(failure)})
        except Exception as failure:  # noqa: BLE001 (the caller gets an answer whatever happens)
            log.error("The request to %s has failed\n%s", path[:100], "".join(traceback.format_exception(failure)))
            return 500, orjson.dumps({"error": f"the request has failed: {type(failure).__name__}: {failure}"[:500]})

    def _note(self, path: str, failure: Refusal) -> None:
        log.warning("HTTP %d to %s: %s", failure.status, path[:100], str(failure)[:300])
        if isinstance(failure, ModelFailed):
            # Serve's formatter takes `exc_info` apart; so the traceback is part of the text.
            log.error(
                "The model could not answer\n%s", "".join(traceback.format_exception(failure.__cause__ or failure))
            )
            if failure.broken and not self.broken:
                self.broken = failure.broken
                log.error("This replica is to be replaced: %s", failure.broken)

    async def _post(self, path: str, content_type: str, body: bytes) -> bytes:
        """The prediction as JSON. Raises Refusal."""
        is_joinable = self._model.joins and self._model.signature.tensor is not None
        if not is_joinable:
            found = await self._predictions.alone(partial(self._whole, path, content_type, body))
        else:
            read = partial(self._read, path, content_type, body)
            question = read(None) if len(body) < SMALL_BODY else await self._predictions.alone(read)
            write = partial(self._write, path, question)
            if self._model.may_join(question):
                found = await self._predictions.joined(question, write)
            else:
                found = await self._predictions.alone(partial(self._predicted, path, question))
        return bytes(found)

    def _whole(self, path: str, content_type: str, body: bytes, _: Any) -> bytes:
        return self._predicted(path, self._read(path, content_type, body, None), None)

    def _predicted(self, path: str, question: Question, _: Any) -> bytes:
        (answer,) = self._model.answer([question])
        if isinstance(answer, Exception):
            raise answer
        return self._write(path, question, answer)

    def _read(self, path: str, content_type: str, body: bytes, _: Any) -> Question:
        if path in ("/invocations", ""):
            return parsing.from_mlflow(body, self._model.signature, content_type)
        if path.startswith("/v2/models/") and path.endswith("/infer"):
            return parsing.from_v2(body, self._model.signature)
        raise BadRequest(f"there is nothing at {path}; POST to /invocations or /v2/models/{self._name}/infer", 404)

    def _write(self, path: str, question: Question, answer: Any) -> bytes:
        if path in ("/invocations", ""):
            return encoding.to_mlflow(answer, question)
        return encoding.to_v2(answer, question, self._name, self._version)

    def _get(self, path: str) -> Any:
        if path in ("/v2/health/live", "/ping", "/health"):
            return {"live": True}
        if path == "/v2/health/ready":
            self._check_ready()
            return {"ready": True}
        if path == f"/v2/models/{self._name}/ready":
            self._check_ready()
            return {"name": self._name, "ready": True}
        if path in (f"/v2/models/{self._name}", ""):
            return metadata(self._name, self._version, self._model.signature, self._model.kind)
        if path == "/invocations" or path == f"/v2/models/{self._name}/infer":
            raise BadRequest(f"{path} answers POST, with the input as its body", 405)
        raise BadRequest(f"there is nothing at {path}; GET /v2/models/{self._name} describes the model", 404)

    def _check_ready(self) -> None:
        if self.broken:
            raise Busy(f"this replica is being replaced: {self.broken}")


def metadata(name: str, version: str, signature: Signature, kind: str) -> dict[str, Any]:
    """The Open Inference Protocol's description of the model."""
    return {"name": name, "versions": [version], "platform": f"mlflow_{kind}", "inputs": _inputs(signature),
            "outputs": []}  # fmt: skip


def _inputs(signature: Signature) -> list[dict[str, Any]]:
    schema = signature.schema
    if schema is None:
        return []
    names = schema.input_names() if schema.has_input_names() else [f"input-{n}" for n in range(len(schema.inputs))]
    return [_input(str(name), spec) for name, spec in zip(names, schema.inputs, strict=True)]


def _input(name: str, spec: Any) -> dict[str, Any]:
    shape = list(spec.shape) if hasattr(spec, "shape") else [-1]
    kind = spec.type.name if hasattr(spec, "shape") else numpy_name(spec)
    return {"name": name, "datatype": _V2_NAMES.get(kind, "BYTES"), "shape": shape}
