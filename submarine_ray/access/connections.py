"""What uvicorn tells of each connection besides its address: whose process is at the other end."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Hashable
from typing import Any

from submarine_ray.access import peers
from submarine_ray.core.http import Scope
from submarine_ray.core.limits.front import FrontedHttp
from submarine_ray.spec.hosts import Served, is_loopback

_STATE = "peer_uid"
# Whoever adds these speaks for somebody else: that a proxy is of our user says nothing of who sent the request.
_FORWARDED = re.compile(rb"forwarded|via|x-forwarded(-.*)?|x-real-ip", re.DOTALL)


class PeerProtocol(FrontedHttp):
    """uvicorn's protocol, which looks once a connection; requests and WebSockets find it in `scope["state"]`."""

    _uid: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._uid = peers.uid_of(transport.get_extra_info("socket"))
        self.app_state = told(self.app_state, self._uid)
        super().connection_made(transport)

    def peer(self) -> Hashable:
        return super().peer(), self._uid  # users of this machine do not take each other's connections


def told(state: dict[str, Any], uid: int | None) -> dict[str, Any]:
    """The state of a connection from a process of this user. Tests without sockets use it too."""
    return {**state, _STATE: uid}


def peer_uid(scope: Scope) -> int | None:
    """The user whose process sent a request; None if that is not known, or if a proxy sent it for somebody else."""
    uid: int | None = scope.get("state", {}).get(_STATE)
    # Some proxies write underscores.
    is_forwarded = any(_FORWARDED.fullmatch(name.lower().replace(b"_", b"-")) for name, _ in scope["headers"])
    return uid if not is_forwarded and _is_for_this_machine(scope) else None


def _is_for_this_machine(scope: Scope) -> bool:
    """Whether it was sent to a name that is this machine's to itself: by another one it came through something."""
    hosts = [Served.parsed(value.decode("latin-1")) for name, value in scope["headers"] if name.lower() == b"host"]
    return all(host is not None and is_loopback(host.host) for host in hosts)


def is_own_user(uid: int | None) -> bool:
    """Whether this is the user who runs this process, or root, from whom nothing is safe anyway."""
    return uid is not None and uid in (os.geteuid(), 0)
