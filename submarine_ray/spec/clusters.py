"""Clusters that the service submits to."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from submarine_ray.spec.base import Document, check_name

LOCAL_CLUSTER = "local"


def _http_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value[:120]!r} is not the address of a Ray dashboard; write for example http://host:8265")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into an address; give the token as 'token'")
    return value.rstrip("/")


class ClusterSpec(Document):
    """A running Ray cluster: its dashboard's address and its token."""

    name: Annotated[str, AfterValidator(lambda v: check_name(v, "a cluster"))]
    """1 to 63 letters, digits, `-`, `_` or `.`."""
    kind: Literal["ray"] = "ray"
    """A Ray cluster that runs already."""
    address: Annotated[str, AfterValidator(_http_address)]
    """Of its dashboard: http://host:8265."""
    token: SecretStr | None = None
    """Where its dashboard asks for one; kept encrypted, never answered."""
    serve_url: Annotated[str, AfterValidator(_http_address)] | None = Field(
        default=None, description="Where Ray Serve answers, as users reach it"
    )
