"""How often somebody may guess: a few times, then ever more rarely, per address and for the account as a whole.

The same wrong token again is no further guess: a program with an old one locks nobody out.
"""

from __future__ import annotations

import ipaddress
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger(__name__)

ACCOUNT = "token"
MOST_ADDRESSES = 10_000
FORGOTTEN_SECONDS = 3600.0
TRUSTED_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Limit:
    """So many guesses are free; each further one doubles the wait, up to `longest` seconds."""

    free: int
    longest: float

    def wait(self, guesses: int) -> float:
        return 0.0 if guesses < self.free else min(self.longest, 2.0 ** min(guesses - self.free, 30))


OF_ADDRESS = Limit(free=5, longest=900.0)
OF_ACCOUNT = Limit(free=100, longest=60.0)


@dataclass
class _Guesses:
    count: int = 0
    until: float = 0.0
    last: float = 0.0
    seen: set[int] = field(default_factory=set)


class Throttle:
    """Counts wrong tokens. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._addresses: OrderedDict[str, _Guesses] = OrderedDict()
        self._account = _Guesses()
        self._trusted: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> int:
        """Whole seconds until somebody at this address may show a token again; 0: now."""
        now = self._clock()
        own = self._addresses.get(_network(address))
        until = own.until if own else 0.0
        if not self.is_trusted(address):
            until = max(until, self._account.until)
        return max(0, math.ceil(until - now))

    def is_trusted(self, address: str) -> bool:
        """Whether the right token has come from there lately: guesses of others do not lock it out."""
        since = self._trusted.get(_network(address))
        return since is not None and self._clock() - since < TRUSTED_SECONDS

    def failed(self, address: str, token: str) -> None:
        """Somebody has shown a wrong token."""
        network, now, mark = _network(address), self._clock(), hash((self._salt, token))
        own = self._addresses.setdefault(network, _Guesses())
        self._addresses.move_to_end(network)
        if len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        if mark in own.seen and now - own.last < FORGOTTEN_SECONDS:
            return
        for guesses, limit in ((own, OF_ADDRESS), (self._account, OF_ACCOUNT)):
            if now - guesses.last > FORGOTTEN_SECONDS:
                guesses.count, guesses.seen = 0, set()
            guesses.count += 1
            guesses.last = now
            guesses.until = max(guesses.until, now + limit.wait(guesses.count))
        if len(own.seen) < 100:
            own.seen.add(mark)
        log.warning(
            "access.wrong_token", address=address, account=ACCOUNT, guesses=own.count, wait=self.wait(address),
            of_account=self._account.count,
        )  # fmt: skip

    def succeeded(self, address: str) -> None:
        """Somebody has shown the right token."""
        network = _network(address)
        self._trusted[network] = self._clock()
        self._trusted.move_to_end(network)
        if len(self._trusted) > MOST_ADDRESSES:
            self._trusted.popitem(last=False)


def _network(address: str) -> str:
    """An address, or the /64 of IPv6: so much one machine has to choose from."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 6:
        return str(ip.ipv4_mapped or ipaddress.ip_network((int(ip) >> 64 << 64, 64)))
    return str(ip)
