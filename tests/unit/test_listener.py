"""The port of content: found beside the main one, the same after a restart, and nobody else's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from submarine_ray.cli import platform
from submarine_ray.content import listener
from submarine_ray.core.settings import Settings
from tests.conftest import free_port


@pytest.fixture
def pair() -> Iterator[int]:
    """A port whose next one is taken."""
    while True:
        port = free_port()
        taken = socket.socket()
        try:
            taken.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        taken.listen()
        yield port
        taken.close()
        return


def test_content_is_at_the_next_free_port(pair: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, sockets = listener.opened(Settings(port=pair))
    assert [one.getsockname()[1] for one in sockets] == [pair, settings.content_port]
    assert settings.content_port not in (None, pair, pair + 1)
    with pytest.raises(listener.CannotListen, match=str(pair + 1)):
        listener.opened(Settings(port=free_port(), content_port=pair + 1))
    monkeypatch.setenv("SUBMARINE_PORT", str(pair))
    assert platform._content_port({}) not in (None, pair, pair + 1, settings.content_port)
    for one in sockets:
        one.close()
    before = {"port": pair, "contentPort": settings.content_port}
    assert platform._content_port(before) == settings.content_port  # as before the restart
    monkeypatch.setenv("SUBMARINE_CONTENT_URL", "https://content.example.com")
    assert platform._content_port({}) is None


def test_with_an_address_for_content_there_is_one_port_unless_another_is_named() -> None:
    port = free_port()
    _, sockets = listener.opened(Settings(port=port, content_url="https://content.example.com"))
    assert [one.getsockname()[1] for one in sockets] == [port]
    sockets[0].close()
