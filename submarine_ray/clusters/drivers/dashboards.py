"""How a Ray dashboard is reached."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from submarine_ray.core.networks import Outgoing


@dataclass(frozen=True)
class Dashboard:
    """Where a Ray dashboard answers: its `url`, perhaps with a path; `headers` are asked for at each call. What it
    names is connected to as `outgoing` allows, where that is given.
    """

    url: str
    headers: Callable[[], Mapping[str, str]] = dict
    tls: ssl.SSLContext | None = None
    outgoing: Outgoing | None = None


def bearer(token: str | None) -> Callable[[], Mapping[str, str]]:
    """The headers that open a dashboard reached directly."""
    return lambda: {"Authorization": f"Bearer {token}"} if token else {}
