"""What an address says of where it leads."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass

PORTS = {"http": 80, "https": 443}
_SERVED = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Served:
    """Where a service is reached: a host, at one port or by one scheme alone if these are given."""

    host: str
    port: int | None = None
    scheme: str | None = None

    @classmethod
    def parsed(cls, text: str) -> Served | None:
        """Of `name`, `name:port` or `scheme://name[:port]`, as Host and Origin have them; None for anything else."""
        found = _SERVED.fullmatch(text)
        if found is None:
            return None
        scheme = found["scheme"].lower() if found["scheme"] else None
        port = int(found["port"]) if found["port"] else PORTS.get(scheme or "")
        return cls(found["host"].lower().strip("[]"), port, scheme)


def listed(text: str) -> list[str]:
    """The names in SUBMARINE_ALLOWED_HOSTS: a JSON list, or names with commas between them."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return [str(one) for one in found] if isinstance(found, list) else [*filter(None, map(str.strip, text.split(",")))]


def origin_of(url: str) -> str:
    """The scheme, host and port of a URL."""
    return "/".join(url.split("/")[:3])


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
