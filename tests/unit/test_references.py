"""How people name a version of a model."""

from __future__ import annotations

import pytest

from submarine_ray.spec.references import ModelReference, model_reference


@pytest.mark.parametrize(
    ("name", "version", "meant", "uri"),
    [
        ("m", 3, ModelReference("m", 3), "models:/m/3"),
        ("m", "3", ModelReference("m", 3), "models:/m/3"),
        ("m", "champion", ModelReference("m", alias="champion"), "models:/m@champion"),
        ("m", "@champion", ModelReference("m", alias="champion"), "models:/m@champion"),
        ("m@champion", None, ModelReference("m", alias="champion"), "models:/m@champion"),
        ("models:/m@champion", None, ModelReference("m", alias="champion"), "models:/m@champion"),
        ("models:/m/3", None, ModelReference("m", 3), "models:/m/3"),
        ("m.v-1/3", None, ModelReference("m.v-1", 3), "models:/m.v-1/3"),
    ],
)
def test_what_is_meant(name: str, version: int | str | None, meant: ModelReference, uri: str) -> None:
    assert model_reference(name, version) == meant
    assert meant.uri == uri


@pytest.mark.parametrize(
    ("name", "version"), [("m", None), ("m@", None), ("@a", None), ("", 1), ("m", 0), ("m", "9" * 5000), ("m/", None)]
)
def test_what_names_no_version_is_refused(name: str, version: int | str | None) -> None:
    with pytest.raises(ValueError, match="version"):
        model_reference(name, version)
