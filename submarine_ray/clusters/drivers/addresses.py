"""Whether the service may connect to an address that a registration names."""

from __future__ import annotations

from urllib.parse import urlsplit

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.core.networks import AddressRefused, Outgoing


def check_address(field: str, url: str | None, outgoing: Outgoing) -> None:
    """Raises InvalidSpec."""
    try:
        if url:
            outgoing.check(urlsplit(url).hostname or "")
    except AddressRefused as failure:
        raise InvalidSpec(str(failure), field) from failure
    except ValueError as failure:
        raise InvalidSpec(f"{str(url)[:120]!r} is not an address: {failure}", field) from failure
