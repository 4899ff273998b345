"""The ports that the service listens on: its own, and a second one for content where no address was given for that."""

from __future__ import annotations

import socket
from pathlib import Path

from submarine_ray.core.settings import Settings
from submarine_ray.spec import private

TRIES = 20
BACKLOG = 2048


class CannotListen(Exception):
    """A port is taken, or not ours to take; the message says which."""


def opened(settings: Settings) -> tuple[Settings, list[socket.socket]]:
    """The listening sockets, and the settings with the content's port as it was found. Raises CannotListen."""
    if settings.socket is not None:
        return settings, [_bound_to(settings.socket)]
    sockets = [_bound(settings.host, settings.port)]
    if settings.content_port:
        sockets.append(_bound(settings.host, settings.content_port))
    elif settings.content_url is None:
        sockets.append(_next_free(settings))
        settings = settings.model_copy(update={"content_port": sockets[1].getsockname()[1]})
    return settings, sockets


def _bound_to(path: Path) -> socket.socket:
    """A Unix socket; the file of an earlier process goes. Raises CannotListen."""
    found = socket.socket(socket.AF_UNIX)
    try:
        private.check(private.directory(path.parent))  # whoever connects there speaks for anybody
        path.unlink(missing_ok=True)
        found.bind(str(path))
        path.chmod(0o600)
        found.listen(BACKLOG)
    except (OSError, private.NotPrivate) as failure:
        found.close()
        raise CannotListen(f"it cannot listen on {path}: {failure}") from failure
    found.set_inheritable(True)
    return found


def _next_free(settings: Settings) -> socket.socket:
    for port in range(settings.port + 1, min(settings.port + 1 + TRIES, 65536)):
        try:
            return _bound(settings.host, port)
        except CannotListen:
            continue
    return _bound(settings.host, 0)


def _bound(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(BACKLOG)  # else another program could still take it
    except OSError as failure:
        found.close()
        raise CannotListen(f"it cannot listen on {host}:{port}: {failure.strerror or failure}") from failure
    found.set_inheritable(True)
    return found
