"""An experiment as something to paste elsewhere: a command line, Python, curl."""

from __future__ import annotations

import json
import shlex

from submarine_ray.core.settings import Settings
from submarine_ray.spec.documents import dump
from submarine_ray.spec.json_types import JsonObject


def as_cli(document: JsonObject) -> str:
    return f"submarine submit -f - --follow <<'SUBMARINE'\n{dump(document)}SUBMARINE"


def as_python(document: JsonObject) -> str:
    return f"from submarine_ray import ExperimentClient\n\nExperimentClient().create_experiment({document!r})\n"


def as_curl(settings: Settings, document: JsonObject) -> str:
    token = '-H "Authorization: Bearer $SUBMARINE_TOKEN" ' if settings.token else ""
    body = shlex.quote(json.dumps(document))
    url = f"{settings.url}/api/v1/experiment"
    return f"curl -X POST {token}-H 'Content-Type: application/json' -d {body} {url}"
