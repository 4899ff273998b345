"""Reads the client's address of connections that our own load balancer forwards over a Unix socket (PROXY protocol).

Version 2 of it, as HAProxy writes it (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt): a binary header
before the first byte of HTTP. uvicorn reads none. The socket is this user's alone, so what is said there is believed; a
connection without a header is one of this user's own programs.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast

from submarine_ray.core.limits.protocol import BoundedHttp

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD_BYTES = len(SIGNATURE) + 4
_MOST_BYTES = 2048  # of what follows the head: addresses, and further fields that are not read here
_PROXIED = 0x21  # version 2, for somebody else; 0x20 is the load balancer's own, as its health checks are
_ADDRESSES = {0x11: (4, struct.Struct("!4s4sHH")), 0x21: (16, struct.Struct("!16s16sHH"))}

Address = tuple[str, int]


class NoHeader(ValueError):
    """What a connection begins with is no header of the protocol's version 2."""


@dataclass(frozen=True)
class Ends:
    """Who called, and the address of ours that was called; both None for the load balancer's own connections."""

    client: Address | None
    server: Address | None


def read(data: bytes) -> tuple[Ends, bytes] | None:
    """The ends that the header names, and what follows it; None while more must come. Raises NoHeader."""
    if not data.startswith(SIGNATURE[: len(data)]):
        return Ends(None, None), data
    if len(data) < _HEAD_BYTES:
        return None
    command, family, size = struct.unpack_from("!BBH", data, len(SIGNATURE))
    if command >> 4 != 2 or size > _MOST_BYTES:
        raise NoHeader
    if len(data) < _HEAD_BYTES + size:
        return None
    rest = data[_HEAD_BYTES + size :]
    if command != _PROXIED or family not in _ADDRESSES:
        return Ends(None, None), rest
    _, form = _ADDRESSES[family]
    if size < form.size:
        raise NoHeader
    source, destination, source_port, destination_port = form.unpack_from(data, _HEAD_BYTES)
    return Ends((str(ip_address(source)), source_port), (str(ip_address(destination)), destination_port)), rest


class _Named:
    """A transport that tells the ends of the connection at the load balancer, in place of its own."""

    def __init__(self, transport: asyncio.Transport, ends: Ends) -> None:
        self._transport = transport
        self._ends = {"socket": None, "peername": ends.client, "sockname": ends.server}

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._ends[name] if name in self._ends else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


class FrontedHttp(BoundedHttp):
    """Begins with the header where a connection comes over a Unix socket."""

    _waiting: asyncio.Transport | None = None
    _preface = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        connection = transport.get_extra_info("socket")
        if connection is None or connection.family != socket.AF_UNIX:
            super().connection_made(transport)
        elif _is_own(connection):
            self._waiting = transport
            self._start("header", self.open.limits.head_seconds, transport.abort)
        else:
            self._waiting = transport
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._waiting is None:
            super().data_received(data)
            return
        self._preface += data
        try:
            found = read(self._preface)
        except NoHeader:
            self._waiting.abort()
            return
        if found is None:
            return
        ends, rest = found
        transport, self._waiting, self._preface = self._waiting, None, b""
        self._stop("header")
        super().connection_made(cast(asyncio.Transport, _Named(transport, ends)))
        if rest and not transport.is_closing():
            super().data_received(rest)

    def eof_received(self) -> None:
        if self._waiting is None:
            super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is None:
            super().connection_lost(exc)
        else:
            self._stop("header")


def _is_own(connection: socket.socket) -> bool:
    """Whether a process of this user, or of root, has connected."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory of the socket lets nobody else in
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", told)[1] in (os.geteuid(), 0)
