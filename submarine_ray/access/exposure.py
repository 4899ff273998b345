"""What is open to others, in sentences for the operator: `submarine status` shows them, and GET /api/v1/exposure."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable

from submarine_ray.access.origins import served_by
from submarine_ray.core.settings import Settings

_FIRST_ACCOUNT, _LAST_ACCOUNT = 1000, 60_000  # of people, by convention (login.defs)
_NO_SHELLS = ("nologin", "false", "sync", "halt", "shutdown")

Look = Callable[[], Iterable[str]]


class Exposure:
    """Gathers what is open; a feature adds its own look with `add`."""

    def __init__(self, settings: Settings) -> None:
        self._looks: list[Look] = [lambda: _of_the_service(settings), _of_this_machine]

    def add(self, look: Look) -> None:
        """`look` gives a sentence for each thing that is open, with what to do; it asks no cluster."""
        self._looks.append(look)

    def found(self) -> list[str]:
        return [sentence for look in self._looks for sentence in look()]


def _of_the_service(settings: Settings) -> Iterable[str]:
    if settings.is_loopback:
        return
    if all(one.scheme != "https" for one in served_by(settings)):
        yield (
            f"The service listens at {settings.host}:{settings.port} without TLS: tokens cross the network in clear. "
            "Put a proxy in front that ends TLS, and set SUBMARINE_PUBLIC_URL=https://..."
        )
    elif (settings.public_url or "").startswith("http://"):
        yield (
            f"Users come by https, but experiments come to {settings.public_url} (SUBMARINE_PUBLIC_URL): their tokens "
            "cross that network in clear. Let nobody else listen there, or set an https address."
        )


def _of_this_machine() -> Iterable[str]:
    if os.geteuid() == 0:
        yield (
            "The service runs as root, and so does what experiments and notebooks run on this machine. "
            "Start it as a user of its own."
        )
    if others := _other_people():
        yield (
            f"This machine has other users ({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}): each of them "
            "can ask the endpoints of the local cluster for predictions, because Ray Serve knows no users. "
            "Serve what is confidential from a cluster of its own."
        )


def _other_people() -> list[str]:
    """Accounts with which people sign in to this machine, other than this process's."""
    return [
        account.pw_name
        for account in pwd.getpwall()
        if _FIRST_ACCOUNT <= account.pw_uid < _LAST_ACCOUNT
        and account.pw_uid != os.geteuid()
        and not account.pw_shell.endswith(_NO_SHELLS)
    ]
