"""The values of `Host` that a cluster's endpoints accept (serve_apps/hosts.py checks them)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from submarine_ray.spec.hosts import Served


def serve_hosts(allowed: Sequence[str], serve_url: str) -> list[str]:
    """SUBMARINE_ALLOWED_HOSTS, and the host of the endpoint's URL where that is a name of the public kind."""
    host = (urlsplit(serve_url).hostname or "").lower()
    try:
        ipaddress.ip_address(host)
        is_name = False
    except ValueError:
        is_name = "." in host and ".svc" not in host
    named = {one.host for text in allowed if (one := Served.parsed(text))}
    return sorted({*named, *([host] if is_name else [])})
