"""Ray clusters that nobody owns, and those whose owner one has only not heard of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from submarine_ray.clusters.drivers.kuberay import leavings, names
from submarine_ray.clusters.drivers.kuberay.api import ApiError
from submarine_ray.clusters.drivers.kuberay.leavings import Leavings


class Kubernetes:
    """An API server with one RayCluster, whose RayJob has the uid `owner`, or answers with a status."""

    def __init__(self, owner: str | int) -> None:
        reference = {"name": "e-1", "uid": "u-1"}
        metadata = {"labels": {names.EXPERIMENT_LABEL: "e-1"}, "ownerReferences": [reference]}
        found = {"e-1-abc": {"metadata": metadata}}
        self.owner = owner
        self.deleted: list[str] = []
        self.api = self
        self.clusters = SimpleNamespace(objects=lambda: found, get=found.get)

    def path(self, plural: str, name: str) -> str:
        return f"{plural}/{name}"

    def get(self, path: str) -> dict[str, Any]:
        assert path == "rayjobs/e-1"
        if isinstance(self.owner, int):
            raise ApiError(self.owner, "no", "no")
        return {"metadata": {"uid": self.owner}}

    def delete(self, _: str, name: str) -> None:
        self.deleted.append(name)

    def forget_dashboard(self, _: str) -> None: ...


@pytest.mark.parametrize(("owner", "goes"), [("u-1", False), ("u-2", True), (404, True), (503, False)])
def test_a_cluster_is_leaked_if_the_api_server_knows_no_owner_either(
    owner: str | int, goes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leavings, "LEAK_SECONDS", -1.0)
    at = Kubernetes(owner)
    Leavings(at).take_away({})  # type: ignore[arg-type]
    assert at.deleted == (["e-1-abc"] if goes else [])
