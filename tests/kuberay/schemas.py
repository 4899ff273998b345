"""KubeRay's CRDs as JSON schemas, strict about unknown fields as `fieldValidation=Strict` is."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parents[3] / "shared" / "kuberay-crds"
FILES = {"RayJob": "rayjobs", "RayCluster": "rayclusters", "RayService": "rayservices"}


def are_there() -> bool:
    return CRDS.is_dir()


def problem(kind: str, body: dict[str, Any]) -> str | None:
    """What the API server would refuse in an object; nothing is known of kinds whose schema is not at hand."""
    if kind not in FILES or not are_there():
        return None
    error = next(iter(_validator(kind).iter_errors(body)), None)
    return f"{error.message[:500]} at {'.'.join(map(str, error.absolute_path))}" if error else None


@functools.cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    crd = yaml.load((CRDS / f"ray.io_{FILES[kind]}.yaml").read_text(), loader)
    version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
    return Draft202012Validator(_strict(version["schema"]["openAPIV3Schema"], top=True))


def _strict(schema: Any, top: bool = False) -> Any:
    """A structural schema as JSON schema: no unknown fields, int-or-string as both."""
    if not isinstance(schema, dict):
        return schema
    found = {k: v for k, v in schema.items() if not k.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string", "number"]}
    if "properties" in schema:
        found["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        if top:
            found["properties"]["metadata"] = {"type": "object"}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = _strict(schema[key])
    return found
