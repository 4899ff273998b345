"""`TemplateClient`: experiment templates, and experiments made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from submarine_ray.client.http import PATIENCE_SECONDS, Service

# What parameters of a template's own are called that say how many GPUs each of its workers has.
_GPUS = ("gpus", "num_gpu")
_BASE = "/api/v1/template"


class TemplateClient:
    """Creates, manages and submits templates; arguments and errors as of EnvironmentClient.

    Source: Submarine's "Experiment Template REST API".
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def create_template(self, template_spec: dict[str, Any]) -> dict[str, Any]:
        """Create a template from its spec."""
        return dict(self.service.call("POST", _BASE, json=template_spec))

    def update_template(self, name: str, template_spec: dict[str, Any]) -> dict[str, Any]:
        """Replace a template's spec."""
        return dict(self.service.call("PATCH", f"{_BASE}/{quote(name, safe='')}", json=template_spec))

    def get_template(self, name: str) -> dict[str, Any]:
        """Return a template."""
        return dict(self.service.call("GET", f"{_BASE}/{quote(name, safe='')}"))

    def list_templates(self) -> list[dict[str, Any]]:
        """Return all templates."""
        return list(self.service.call("GET", _BASE))

    def delete_template(self, name: str) -> dict[str, Any]:
        """Delete a template. Experiments that were created from it stay."""
        return dict(self.service.call("DELETE", f"{_BASE}/{quote(name, safe='')}"))

    def preview_template(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the spec of the experiment that these values make of a template; nothing runs."""
        body = {"name": name, "params": {key: str(value) for key, value in params.items()}}
        return dict(self.service.call("POST", f"{_BASE}/{quote(name, safe='')}/preview", json=body))

    def submit_template(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Create an experiment from a template; values are sent as text. `meta.name` names the experiment."""
        body = {"name": name, "params": {key: str(value) for key, value in params.items()}}
        return dict(self.service.call("POST", f"/api/v1/experiment/{quote(name, safe='')}", json=body))


def gpu_parameters(template: Mapping[str, Any], gpus: float) -> dict[str, str]:
    """The parameters of a template, as it is answered, that give `gpus` GPUs to each of its processes.

    A template may have one of its own: a Ray script's GPUs are those of the workers that it starts.
    """
    spec = template["experimentTemplateSpec"]
    names = [parameter["name"] for parameter in spec["parameters"]]
    own = [name for name in names if name.split(".")[-1] in _GPUS and not name.startswith("spec.")]
    each = own or [f"spec.{role}.resourceMap.gpu" for role in spec["experimentSpec"]["spec"]]
    return dict.fromkeys(each, f"{gpus:g}")
