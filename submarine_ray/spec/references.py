"""How people name a version of a registered model: `name/3`, `name@alias`, or either as MLflow's `models:/...`."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.spec.base import MOST_VERSIONS

SCHEME = "models:/"


@dataclass(frozen=True)
class ModelReference:
    """A model, and which version of it: by number or by alias; neither where only the model is named."""

    name: str
    version: int | None = None
    alias: str | None = None

    @property
    def uri(self) -> str:
        """As MLflow's functions take it."""
        which = f"@{self.alias}" if self.alias else f"/{self.version}"
        return f"{SCHEME}{self.name}{which}"


def model_reference(name: str, version: int | str | None = None) -> ModelReference:
    """What is meant by a name, or a name and a version: a number, or an alias with or without `@`.

    Raises ValueError for what names no version.
    """
    said = name.removeprefix(SCHEME)
    if version is not None:
        which = str(version).removeprefix("@")
    elif "@" in said:
        said, _, which = said.partition("@")
    else:
        said, _, which = said.partition("/")
    if not said or not which:
        raise ValueError(f"{name[:200]!r} names no version: write NAME/VERSION or NAME@ALIAS")
    if not (which.isascii() and which.isdecimal()):
        return ModelReference(said, alias=which)
    if len(which) > len(str(MOST_VERSIONS)) or not 1 <= int(which) <= MOST_VERSIONS:
        raise ValueError(f"{which[:20]} is not a version: versions are numbered from 1 to {MOST_VERSIONS}")
    return ModelReference(said, version=int(which))
