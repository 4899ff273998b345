"""`--gpus`: which of a template's parameters it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from submarine_ray.client.templates import gpu_parameters


def template(parameters: list[str], roles: list[str]) -> dict[str, Any]:
    named = [{"name": name} for name in parameters]
    return {"experimentTemplateSpec": {"parameters": named, "experimentSpec": {"spec": {key: {} for key in roles}}}}


@pytest.mark.parametrize(
    ("parameters", "roles", "given"),
    [
        (["epochs"], ["Worker"], {"spec.Worker.resourceMap.gpu": "0.5"}),
        ([], ["Master", "Worker"], {"spec.Master.resourceMap.gpu": "0.5", "spec.Worker.resourceMap.gpu": "0.5"}),
        (["training.num_gpu", "spec.Worker.resourceMap.gpu"], ["Worker"], {"training.num_gpu": "0.5"}),
        (["workers", "gpus"], ["Worker"], {"gpus": "0.5"}),
    ],
)
def test_gpus_go_to_whoever_computes(parameters: list[str], roles: list[str], given: dict[str, str]) -> None:
    assert gpu_parameters(template(parameters, roles), 0.5) == given
