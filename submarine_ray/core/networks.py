"""Decides which addresses the service may connect to when a user names them, such as those of clusters.

A host is resolved here, its addresses are checked, and the connection is opened to a checked one. So a name that leads
elsewhere at the next look (DNS rebinding) leads nowhere.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import BeforeValidator

SETTING = "SUBMARINE_ALLOW_CLUSTER_NETWORKS"

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# What gives a cloud's machines their credentials and does not lie in a range that is closed anyway.
_METADATA = tuple(
    ip_network(one)
    for one in (
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle Cloud
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google Cloud
        "fd00:42::42/128",  # Scaleway
    )
)
_LINK_LOCAL = ip_network("169.254.0.0/16")
_THIS_NETWORK = ip_network("0.0.0.0/8")  # Linux takes 0.0.0.0 for this machine
_IPV4_INSIDE = tuple(ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))  # NAT64; IPv4-compatible


# What `socket.getaddrinfo` answers: family, type, protocol, canonical name and address.
_AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


class AddressRefused(Exception):
    """The service does not connect to this address; the message says what grants it."""


def _listed(value: object) -> object:
    """`10.0.0.0/8, 127.0.0.1` as well as a JSON list."""
    if not isinstance(value, str):
        return value
    return [word.strip(" []\"'") for word in value.split(",") if word.strip(" []\"'")]


def _network(value: object) -> object:
    """One of them, refused with what was given and how to write it."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError as failure:
        raise ValueError(f"{SETTING}: {failure}; write networks as 10.1.0.0/16 or fd00::/8") from failure


Networks = Annotated[list[Annotated[Network, BeforeValidator(_network)]], BeforeValidator(_listed)]


def exposed(granted: Sequence[Network]) -> Iterator[str]:
    """What the granted networks open that gives away credentials; see access.exposure."""
    if opened := [str(one) for one in granted if any(one.overlaps(closed) for closed in (_LINK_LOCAL, *_METADATA))]:
        yield (
            f"{SETTING} grants {', '.join(opened[:3])}: whoever registers a cluster has the service ask the cloud's "
            "metadata service, which gives out this machine's credentials. Grant the clusters' own networks alone."
        )


class Outgoing:
    """Checks addresses before the service connects to them; `granted` are networks that an operator has opened."""

    def __init__(self, granted: Sequence[Network] = ()) -> None:
        self._granted = tuple(granted)

    def check(self, host: str) -> None:
        """Raises AddressRefused. A name that leads nowhere yet is no fault: it is looked up at each connection."""
        try:
            self.resolve(host, 0)
        except OSError:
            return

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to, at least one. Raises AddressRefused, OSError."""
        # The system's own resolver: it reads 2130706433, 0x7f.1 and whatever else it would connect to.
        try:
            found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except UnicodeError as failure:
            raise _no_name(host) from failure
        return self._passed(host, found)

    async def resolve_async(self, host: str, port: int) -> list[str]:
        """As `resolve`, beside the event loop."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        except UnicodeError as failure:
            raise _no_name(host) from failure
        return self._passed(host, found)

    def _passed(self, host: str, found: Sequence[_AddressInfo]) -> list[str]:
        passed, refusal = [], ""
        for text in dict.fromkeys(str(entry[4][0]) for entry in found):
            if why := self._why_not(ip_address(text)):
                leads = f"{text} is" if text == host.strip("[]") else f"{host[:120]!r} leads to {text},"
                refusal = refusal or f"{leads} {why}"
            else:
                passed.append(text)
        if not passed:
            raise AddressRefused(
                f"{refusal or f'{host[:120]!r} has no address'}; the service connects there only where {SETTING} "
                "grants it (a list of networks, as 127.0.0.0/8)"
            )
        return passed

    def _why_not(self, address: Address) -> str | None:
        for face in _faces(address):
            granted = any(one in network for one in (address, face) for network in self._granted)
            if (kind := _kind(face)) and not granted:
                return kind
        return None


def _faces(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that it stands for, if it does."""
    yield address
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield address.teredo[1]
    if any(address in network for network in _IPV4_INSIDE) and int(address) > 1:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _kind(address: Address) -> str | None:
    """The words for a range that no cluster is in."""
    if address.is_loopback:
        return "a loopback address"
    if address.is_unspecified or address in _THIS_NETWORK:
        return "an unspecified address"
    if any(address in network for network in _METADATA):
        return "an address of a cloud's metadata service"
    if address.is_link_local:
        return "a link-local address, as clouds' metadata services have"
    if address.is_multicast:
        return "a multicast address"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    # IPv4 addresses inside IPv6 ones are "reserved" too, and judged by themselves.
    if address.is_reserved and mapped is None and not any(address in network for network in _IPV4_INSIDE):
        return "a reserved address"
    return None


def _no_name(host: str) -> OSError:
    """Of a text that no resolver is asked for: a part of it is empty or too long (IDNA)."""
    return OSError(f"{host[:120]!r} is not a host's name")
