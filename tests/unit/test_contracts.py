"""The import contracts leave nothing out: what `make check` holds, it holds for each module that there will be."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PACKAGES = {path.parent.name for path in (ROOT / "submarine_ray").glob("*/__init__.py")}
USERS_SIDE = {"cli", "runner", "ml", "client"}
# `spec` is words without rooms, `workbench` has a module a page, a migration is never imported.
WITHOUT_ROOMS = USERS_SIDE | {"spec", "workbench", "migrations"}
CONTROL_PLANE = PACKAGES - USERS_SIDE - {"spec", "workbench", "migrations"}


def layers(container: str) -> dict[str, Any]:
    return next(one for one in CONTRACTS if one["type"] == "layers" and one.get("containers") == [container])


def test_a_new_package_or_module_that_no_contract_names_fails() -> None:
    assert layers("submarine_ray")["exhaustive"]
    assert set(layers("submarine_ray")["exhaustive_ignores"]) == USERS_SIDE | {"migrations"}
    for package in PACKAGES - WITHOUT_ROOMS:
        assert layers(f"submarine_ray.{package}")["exhaustive"], package


def test_each_feature_is_entered_through_its_service() -> None:
    entered = {one["protected_modules"][0].split(".")[1]: one for one in CONTRACTS if one["type"] == "protected"}
    below = {"core", "access", "content"}  # no features: what all stand on
    assert set(entered) == PACKAGES - WITHOUT_ROOMS - below
    for name, contract in entered.items():
        assert contract["allowed_importers"] == [
            f"submarine_ray.{name}",
            "submarine_ray.app",
            "submarine_ray.platform",
            "submarine_ray.migrations",
        ]
        assert f"submarine_ray.** -> submarine_ray.{name}.service" in contract["ignore_imports"]
        rooms = {"repository", "tables", "perform", "feature"}
        assert not rooms & {one.rsplit(".", 1)[1] for one in contract["ignore_imports"]}, name


@pytest.mark.parametrize(
    "name", [one["name"] for one in CONTRACTS if "submarine_ray.app" in one.get("source_modules", [])]
)
def test_what_holds_for_the_control_plane_holds_for_all_of_it(name: str) -> None:
    contract = next(one for one in CONTRACTS if one["name"] == name)
    named = {source.split(".")[1] for source in contract["source_modules"]}
    may = {"MLflow is imported by tracking and models only": {"tracking", "models"}}.get(name, set())
    assert named | may >= CONTROL_PLANE


def test_the_control_planes_packages_are_kept_from_the_users_side() -> None:
    contract = next(one for one in CONTRACTS if one["name"] == "The user's side pulls in no server")
    assert {one.split(".")[1] for one in contract["forbidden_modules"] if "." in one} >= CONTROL_PLANE
