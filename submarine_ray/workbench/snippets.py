"""Things of this service as something to paste elsewhere: Python, a command line, curl. Pure.

No snippet has a secret: the token of a service that asks for one comes from the environment, as SUBMARINE_TOKEN.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never
from urllib.parse import quote

from submarine_ray.core.settings import Settings
from submarine_ray.spec.documents import dump
from submarine_ray.spec.json_types import Json, JsonObject

_TOKEN = "# SUBMARINE_TOKEN holds the token of this service.\n"  # noqa: S105 (a comment)
Language = Literal["python", "cli", "curl"]
LANGUAGES: Mapping[Language, str] = {"python": "Python", "cli": "CLI", "curl": "curl"}
_JSON = "-H 'Content-Type: application/json'"


@dataclass(frozen=True)
class Snippets:
    """One thing to do, in each language."""

    python: str
    cli: str
    curl: str

    def of(self, language: Language) -> str:
        """The one in a language."""
        match language:
            case "python":
                return self.python
            case "cli":
                return self.cli
            case "curl":
                return self.curl
            case _:
                assert_never(language)


@dataclass(frozen=True)
class Service:
    """The service that snippets talk to."""

    url: str
    has_token: bool

    @classmethod
    def of(cls, settings: Settings) -> Service:
        """The one with these settings."""
        return cls(settings.url, settings.token is not None)

    def python(self, client: str, lines: str) -> str:
        """Lines that use a client of the SDK, called `client`."""
        hint = _TOKEN if self.has_token else ""
        return f"{hint}from submarine_ray import {client}\n\nclient = {client}({self.url!r})\n{lines}\n"

    def cli(self, *lines: str) -> str:
        """Lines for the command line."""
        hint = _TOKEN if self.has_token else ""
        return f"{hint}export SUBMARINE_URL={shlex.quote(self.url)}\n" + "\n".join(lines) + "\n"

    def curl(self, path: str, body: Json = None) -> str:
        """A request to the REST API: a POST if there is a body."""
        token = '-H "Authorization: Bearer $SUBMARINE_TOKEN" ' if self.has_token else ""
        sent = f"-X POST {_JSON} -d {_body(body)} " if body is not None else ""
        return f"curl {token}{sent}{shlex.quote(self.url + path)}\n"


def new_experiment(service: Service, document: JsonObject) -> Snippets:
    """Create an experiment from its spec."""
    return Snippets(
        service.python(
            "ExperimentClient",
            f"experiment = client.create_experiment({document!r})\nprint(experiment['experimentId'])",
        ),
        service.cli(f"submarine submit -f - <<'SUBMARINE'\n{dump(document)}SUBMARINE"),
        service.curl("/api/v1/experiment", document),
    )


def experiment(service: Service, id: str) -> Snippets:
    """Read an experiment's state and the last values of its metrics."""
    return Snippets(
        service.python(
            "ExperimentClient", f"print(client.get_experiment({id!r})['status'])\nprint(client.metrics({id!r}))"
        ),
        service.cli(f"submarine get experiment {shlex.quote(id)}"),
        service.curl(f"/api/v1/experiment/{_part(id)}/metrics"),
    )


def template(service: Service, name: str, params: Mapping[str, str]) -> Snippets:
    """Run a template with values."""
    given = "".join(f" -p {shlex.quote(f'{key}={value}')}" for key, value in params.items())
    return Snippets(
        service.python(
            "TemplateClient",
            f"experiment = client.submit_template({name!r}, {dict(params)!r})\nprint(experiment['experimentId'])",
        ),
        service.cli(f"submarine run-template {shlex.quote(name)}{given} --no-follow"),
        service.curl(f"/api/v1/experiment/{_part(name)}", {"name": name, "params": dict(params)}),
    )


def environment(service: Service, name: str) -> Snippets:
    """Run a command in an environment."""
    return new_experiment(
        service,
        {
            "meta": {"name": "hello", "framework": "Python", "cmd": "python --version"},
            "environment": {"name": name},
            "spec": {"Worker": {"replicas": 1, "resources": "cpu=1"}},
        },
    )


def notebook(service: Service, id: str) -> Snippets:
    """Find out in which state a notebook is, and where it is opened."""
    return Snippets(
        service.python(
            "NotebookClient", f"notebook = client.get_notebook({id!r})\nprint(notebook['status'], notebook['url'])"
        ),
        service.cli(f"submarine get notebook {shlex.quote(id)}"),
        service.curl(f"/api/v1/notebook/{_part(id)}"),
    )


def model(service: Service, name: str, alias: str | None, version: int | None) -> Snippets:
    """Load a version, by an alias if there is one, and tell about it; without versions, tell about the model."""
    if alias is None and version is None:
        return Snippets(
            service.python("ModelClient", f"print(client.get_model({name!r}))"),
            service.cli(f"submarine get model {shlex.quote(name)}"),
            service.curl(f"/api/v1/registered-model/{_part(name)}"),
        )
    which = f"{name}@{alias}" if alias else f"{name}/{version}"
    path = f"registered-model/{_part(name)}/alias/{_part(alias)}" if alias else f"model-version/{_part(name)}/{version}"
    return Snippets(
        service.python("ModelClient", f"model = client.load_model({which!r})\nprint(model.metadata.signature)"),
        service.cli(f"submarine get version {shlex.quote(which)}"),
        service.curl(f"/api/v1/{path}"),
    )


def version(service: Service, name: str, number: int) -> Snippets:
    """Serve a version, and wait until it answers."""
    return Snippets(
        service.python(
            "ServeClient",
            f"client.create_serve({name!r}, {number})\n"
            f"print(client.wait_until_running({name!r}, {number})['invocationsUrl'])",
        ),
        service.cli(f"submarine serve {shlex.quote(name)} {number}"),
        service.curl("/api/v1/serve", {"modelName": name, "modelVersion": number}),
    )


def endpoint(service: Service, name: str, number: int, url: str, example: JsonObject) -> Snippets:
    """Send an endpoint a request."""
    return _invocation(service, url, example, f"submarine get serve {shlex.quote(name)} {number}")


def shared_url(service: Service, name: str, url: str, example: JsonObject) -> Snippets:
    """Send a model's shared URL a request."""
    return _invocation(service, url, example, f"submarine get traffic {shlex.quote(name)}")


def _invocation(service: Service, url: str, example: JsonObject, command: str) -> Snippets:
    """Endpoints are Ray Serve's: they ask for no token of this service."""
    return Snippets(
        f"import httpx\n\nanswer = httpx.post({url!r}, json={example!r}, timeout=60)\nprint(answer.json())\n",
        service.cli(command),
        f"curl -X POST {_JSON} -d {_body(example)} {shlex.quote(url)}\n",
    )


def _body(document: Json) -> str:
    return shlex.quote(json.dumps(document))


def _part(name: str) -> str:
    return quote(name, safe="")
