"""Aliases of registered models: names for versions, such as `champion`, as MLflow's registry keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable

from submarine_ray.core.errors import InvalidSpec, NotFound
from submarine_ray.tracking.entities import Client

LENGTH = 255  # of MLflow's database
_ALIAS = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED = re.compile(r"latest|v?[0-9]+", re.IGNORECASE)


class Aliases:
    """`client` gives MLflow's."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    def all(self, name: str) -> dict[str, int]:
        """The versions by their aliases. Raises NotFound."""
        found = self._client().get_registered_model(name).aliases
        return {alias: int(version) for alias, version in sorted(found.items())}

    def version(self, name: str, alias: str) -> int:
        """Raises NotFound, with the aliases that there are."""
        known = self.all(name)
        if alias not in known:
            there = ", ".join(list(known)[:20]) or "none"
            raise NotFound(f"Model {name!r} has no alias {alias[:80]!r}; it has: {there}.")
        return known[alias]

    def set(self, name: str, alias: str, version: int) -> None:
        """Name a version; an alias that another version has moves. Raises NotFound, InvalidSpec."""
        if len(alias) > LENGTH or not _ALIAS.fullmatch(alias):
            raise InvalidSpec(
                f"{alias[:80]!r} cannot be an alias: use 1 to {LENGTH} letters, digits, '-' or '_'", "alias"
            )
        if _RESERVED.fullmatch(alias):
            raise InvalidSpec(f"{alias[:80]!r} cannot be an alias: it reads as a version", "alias")
        self._client().set_registered_model_alias(name, alias, str(version))

    def remove(self, name: str, alias: str) -> None:
        """Raises NotFound."""
        self.version(name, alias)
        self._client().delete_registered_model_alias(name, alias)
