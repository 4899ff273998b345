"""Writes the REST reference from the service's OpenAPI document, without starting the service."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

Schema = dict[str, Any]

PAGE = "reference/rest.md"
_TITLES = {
    "run": "Metrics of runs", "model": "Models", "serve": "Endpoints", "session": "Access", "operations": "Operations",
}  # fmt: skip
_TAGS = [
    "experiment", "template", "environment", "notebook", "model", "serve", "cluster", "run", "session", "operations",
]  # fmt: skip
_OPENING = """# REST API

The service answers at `http://127.0.0.1:32080` unless [its settings](../configuration.md) say otherwise. The paths
below `/api/v1` are those of Apache Submarine; [Submarine compatibility](../submarine-compat.md) lists which of them
come from Submarine and which are additions. The service shows the same document at `/docs`, where each request can be
tried, and serves it as OpenAPI at `/openapi.json`.

Bodies are JSON, or YAML with `Content-Type: application/yaml`. With a token set, each request carries
`Authorization: Bearer $SUBMARINE_TOKEN`. An answer is an envelope:

```json
{
  "status": "OK", "code": 200, "success": true, "message": null,
  "result": {}, "attributes": {}
}
```

`result` is the document that the operation names. A refused request has the same form with `success: false`; `message`
says what was wrong, where, and what to do.

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, PAGE, content=_page(_document())))
    return files


def _document() -> Schema:
    from submarine_ray.app import build  # it costs seconds, and only a build needs it
    from submarine_ray.core.settings import Settings

    with tempfile.TemporaryDirectory() as home:
        return build(Settings(home=Path(home))).openapi()


def _page(document: Schema) -> str:
    schemas: Schema = document["components"]["schemas"]
    by_tag: dict[str, list[str]] = {}
    for path, methods in sorted(document["paths"].items(), key=_place):
        for method, operation in methods.items():
            text = _operation(f"{method.upper()} {path}", operation, schemas)
            by_tag.setdefault(operation["tags"][0], []).append(text)
    parts = [f"## {_TITLES.get(tag, tag.capitalize() + 's')}\n\n" + "".join(ops) for tag, ops in by_tag.items()]
    documents = "".join(_fields(name, schema) for name, schema in sorted(schemas.items()) if _is_shown(name))
    return f"{_OPENING}{''.join(parts)}## Documents\n\n{documents}"


def _place(item: tuple[str, Schema]) -> tuple[int, int]:
    """Features in the order of the guides, in each of them short paths first."""
    path, methods = item
    tag = next(iter(methods.values()))["tags"][0]
    return _TAGS.index(tag) if tag in _TAGS else len(_TAGS), path.count("/")


def _operation(what: str, operation: Schema, schemas: Schema) -> str:
    lines = [f"### {operation['summary']}\n\n`{what}`\n", operation.get("description", "")]
    if parameters := operation.get("parameters"):
        lines.append("\n| parameter | in | type | meaning |\n|---|---|---|---|")
        lines += [
            _row(f"`{one['name']}`", one["in"], _type(one["schema"], schemas), one.get("description", ""))
            for one in parameters
        ]
    body = next(iter(operation.get("requestBody", {}).get("content", {}).values()), {}).get("schema")
    if body:
        lines.append(f"\nBody: {_type(body, schemas)}")
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if answer and (result := _result(answer, schemas)):
        lines.append(f"\nResult: {result}")
    return "\n".join(lines) + "\n\n"


def _result(answer: Schema, schemas: Schema) -> str:
    """What stands in the envelope's `result`."""
    name = answer.get("$ref", "").rpartition("/")[2]
    inner = schemas.get(name, {}).get("properties", {}).get("result") if name.startswith("Envelope_") else answer
    return _type(inner, schemas).removesuffix(" or null") if inner else ""


def _fields(name: str, schema: Schema) -> str:
    text = f"### {_title(name)}\n\n{_prose(schema.get('description', ''))}\n\n"
    if values := schema.get("enum"):
        return text + "One of " + ", ".join(f"`{value}`" for value in values) + ".\n\n"
    rows = [
        _row(f"`{key}`" + (" (required)" if key in schema.get("required", ()) else ""), _type(field, {}), _told(field))
        for key, field in schema.get("properties", {}).items()
    ]
    return text + ("| field | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n\n" if rows else "")


def _told(field: Schema) -> str:
    default = field.get("default")
    shown = f" Default: `{default}`." if default not in (None, "", [], {}) else ""
    return _prose(field.get("description", "")) + shown


def _type(schema: Schema, schemas: Schema) -> str:
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return f"[{_title(name)}](#{slugify(_title(name), '-')})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(option, schemas) for option in options))
    if values := schema.get("enum"):
        return ", ".join(f"`{value}`" for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), schemas)}"
    return str(schema.get("type", "any"))


def _title(name: str) -> str:
    """`ExperimentSpec-Input` and `-Output` are one document to readers; a module's name before a class is left out."""
    if "__" in name:
        module, _, name = name.rpartition("__")
        return f"{name} ({module.rpartition('__')[2]})"
    return re.sub(r"-(Input|Output)$", "", name)


def _is_shown(name: str) -> bool:
    return not name.startswith("Envelope_") and not name.endswith("-Output")


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("\n", " ") for cell in cells) + " |"
