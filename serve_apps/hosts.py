"""Whom an endpoint answers to, by the `Host` of a request: a page elsewhere may have a name of its own lead here.

That is DNS rebinding: the browser then takes the endpoint for a part of that page, and lets it read the answers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import cache

import orjson

STATUS = 421  # Misdirected Request
# Names that nobody can register: this machine's, and those inside of a Kubernetes cluster or a private network.
_PRIVATE = (".localhost", ".svc", ".cluster.local", ".internal")


def is_served(host: str | None, allowed: Iterable[str] = ()) -> bool:
    """Whether a `Host` header names an address, a name without a dot, a private name, or one that is allowed.

    None: there is none, so no browser has sent the request.
    """
    if host is None:
        return True
    name = _name(host)
    if not name:
        return False
    if "." not in name or name.endswith(_PRIVATE) or _is_address(name):
        return True
    return name in {_name(one) for one in allowed} or name == _own()


def refusal(host: str | None) -> bytes:
    """What is answered otherwise."""
    shown = (host or "")[:100]
    return orjson.dumps({"error": f"the host {shown!r} is not served here; SUBMARINE_ALLOWED_HOSTS adds one"})


def _name(host: str) -> str:
    """A header's host without its port, in lower case; empty if it is no host."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, _, port = host.partition(":")
    return name.removesuffix(".") if not port or port.isdecimal() else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@cache
def _own() -> str:
    """This machine's name, as it calls itself: looked up nowhere, which may take seconds."""
    return socket.gethostname().lower()
