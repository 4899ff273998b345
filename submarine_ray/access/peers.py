"""Whose process is at the other end of a connection on this machine, as Linux knows it.

The kernel is asked for the one socket (sock_diag: 40 µs). Where it does not answer that, as in gVisor, its table of all
sockets is read, which takes milliseconds.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

_TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")
_CLOSED = 7  # TCP_CLOSE of the kernel's include/net/tcp_states.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20  # include/uapi/linux/netlink.h, sock_diag.h
_ANY = 0xFFFFFFFF

Address = tuple[IPv4Address | IPv6Address, int]
Finder = Callable[[Address, Address], int | None]


def uid_of(connection: Any) -> int | None:
    """The user whose process holds the other end of an accepted TCP connection, or None where that cannot be known.

    `connection`: a socket, or what asyncio gives for one.
    """
    find = _way()
    return None if find is None else _found(find, connection)


def can_be_known() -> bool:
    """Whether `uid_of` works here."""
    return _way() is not None


@cache
def _way() -> Finder | None:
    """The way that finds this process's own user at the end of a connection to itself."""
    if os.geteuid() == _overflow_uid():  # the kernel shows users of other namespaces as this one
        return None
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname(), timeout=5),
            listener.accept()[0] as accepted,
        ):
            return next((way for way in (_asked, _read) if _found(way, accepted) == os.geteuid()), None)
    except OSError:
        return None


def _found(find: Finder, connection: Any) -> int | None:
    try:
        uid = find(_address(connection.getpeername()), _address(connection.getsockname()))
        # A caller may have left, and another process taken its port, before we looked. While our end stands, what was
        # found is its other end: no second connection can have the same two addresses.
        stands = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _CLOSED
    except (OSError, ValueError, LookupError, AttributeError, struct.error):
        return None
    return uid if stands else None


def _asked(peer: Address, own: Address) -> int | None:
    """By sock_diag: struct inet_diag_req_v2 there, struct inet_diag_msg back (include/uapi/linux/inet_diag.h)."""
    family = socket.AF_INET if peer[0].version == 4 else socket.AF_INET6
    ends = [
        struct.pack("!HH16s16s", peer[1], own[1], _packed(peer, wide), _packed(own, wide)) for wide in (False, True)
    ]
    question = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ANY) + ends[0]
    question += struct.pack("=3I", 0, _ANY, _ANY)
    header = struct.pack("=IHHII", 16 + len(question), _SOCK_DIAG_BY_FAMILY, 1, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1)
        netlink.send(header + question)
        answer = netlink.recv(8192)
    if struct.unpack_from("=H", answer, 4)[0] != _SOCK_DIAG_BY_FAMILY or answer[20:56] not in ends:
        return None  # there is no such socket, or this kernel cannot tell
    uid, inode = struct.unpack_from("=II", answer, 80)
    return int(uid) if inode else None  # without an inode no process holds it any more, and its user reads as root


def _read(peer: Address, own: Address) -> int | None:
    """From the kernel's tables of all sockets."""
    pairs = {(_written(peer, wide), _written(own, wide)) for wide in (False, True)}
    for table in _TABLES:
        rows = table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else []
        for row in rows:
            _, local, remote, _, _, _, _, uid, _, inode, *_ = row.split()
            if (local, remote) in pairs:
                return int(uid) if inode != "0" else None
    return None


def _address(name: tuple[Any, ...]) -> Address:
    ip = ip_address(str(name[0]).partition("%")[0])
    return (ip.ipv4_mapped if isinstance(ip, IPv6Address) and ip.ipv4_mapped else ip), int(name[1])


def _written(address: Address, wide: bool) -> str:
    """As the tables have it: words of 32 bits as this machine writes them; `wide`: in the table of IPv6."""
    packed = _packed(address, wide)[: 16 if wide else len(address[0].packed)]
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"


def _packed(address: Address, wide: bool) -> bytes:
    """16 bytes: the address and zeros; `wide`: IPv4 as sockets of IPv6 have it."""
    packed = address[0].packed
    return bytes(10) + b"\xff\xff" + packed if wide and len(packed) == 4 else packed.ljust(16, b"\0")


def _overflow_uid() -> int:
    try:
        return int(_OVERFLOW_UID.read_text())
    except (OSError, ValueError):
        return 65534
