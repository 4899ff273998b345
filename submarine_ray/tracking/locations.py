"""Where artifacts may lie: below the artifact root. Elsewhere the service would read whatever it can reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from submarine_ray.tracking.entities import ArtifactStore

PROXIED = "mlflow-artifacts"
# What a version's source names instead of a place: another record, whose place was looked at.
_RECORDS = ("models", "runs")
_LOCAL = ("", "file")
_ROOTS = "submarine_artifact_roots"  # kept in MLflow's module
_UNQUOTED = 5  # times; MLflow decodes until nothing changes


def is_inside(uri: str, root: str) -> bool:
    """Whether a URI is the artifact root, or below it; `mlflow-artifacts:/...` is the root by another name."""
    plain = uri
    for _ in range(_UNQUOTED):
        plain = unquote(plain)
    if unquote(plain) != plain or any(bad in plain for bad in "\0\\?#") or ".." in plain.split("/"):
        return False
    try:
        parts, own = urlsplit(plain), urlsplit(root)
    except ValueError:
        return False
    if parts.scheme == PROXIED:
        return not parts.netloc
    if own.scheme not in _LOCAL:
        return f"{plain.rstrip('/')}/".startswith(f"{root.rstrip('/')}/")
    if parts.scheme not in _LOCAL or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        return False
    return Path(os.path.realpath(parts.path)).is_relative_to(os.path.realpath(own.path))


Opener = Callable[..., ArtifactStore]


class Stores(Protocol):
    """What of the module `mlflow.store.tracking.sqlalchemy_store` is replaced here."""

    get_artifact_repository: Opener


class Handlers(Stores, Protocol):
    """What of the module `mlflow.server.handlers` is used and replaced here."""

    _PROMPT_SOURCE_PLACEHOLDERS: Collection[str]
    _validate_artifact_uri_scheme: Callable[[str, str], None]


def confine(handlers: Handlers, stores: Stores, root: str) -> None:
    """Make MLflow's request handlers and its store refuse places outside of `root`: to note, and to read or write.

    They are modules, so of the whole process: called again, it adds a root.
    """
    roots: set[str] | None = getattr(handlers, _ROOTS, None)
    if roots is not None:
        roots.add(root)
        return
    setattr(handlers, _ROOTS, allowed := {root})
    from mlflow.exceptions import MlflowException

    validate = handlers._validate_artifact_uri_scheme
    placeholders = handlers._PROMPT_SOURCE_PLACEHOLDERS

    def check(uri: str, what: str) -> None:
        if not any(is_inside(uri, one) for one in allowed):
            raise MlflowException.invalid_parameter_value(
                f"{what}{uri[:200]!r} lies outside of this service's artifact root; leave it out, and files go there"
            )

    def validate_inside(uri: str, field_name: str) -> None:
        validate(uri, field_name)
        is_record = field_name == "source" and (uri.split(":")[0] in _RECORDS or uri in placeholders)
        if uri and not is_record:
            check(uri, f"{field_name} ")

    def confined(opened: Opener) -> Opener:
        def open_inside(artifact_uri: str, *arguments: object, **options: object) -> ArtifactStore:
            if artifact_uri not in allowed:
                check(artifact_uri, "")
            return opened(artifact_uri, *arguments, **options)

        return open_inside

    handlers._validate_artifact_uri_scheme = validate_inside
    for module in (handlers, stores):
        module.get_artifact_repository = confined(module.get_artifact_repository)
