"""What the Kubernetes tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kuberay.apiserver import ApiServer
from tests.kuberay.operator import Operator


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


@pytest.fixture
def operate(server: ApiServer) -> Iterator[Callable[..., Operator]]:
    made: list[Operator] = []

    def start(**options: Any) -> Operator:
        made.append(Operator(server, **options))
        return made[-1]

    yield start
    for operator in made:
        operator.close()


def registration(server: ApiServer, name: str = "kube", **more: Any) -> dict[str, Any]:
    """The body that registers the simulated cluster."""
    return {
        "name": name, "kind": "kuberay", "kubeconfig": yaml.safe_dump(server.kubeconfig()), "namespace": server.namespace,
        **more,
    }  # fmt: skip


def kubeconfig_file(directory: Path, document: dict[str, Any]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "config"
    file.write_text(yaml.safe_dump(document))
    return file
