"""How a browser that the main origin knows gets in at the content's: a ticket for one object, changed for a pass.

A ticket travels in a URL, so it is short-lived and works once. The pass is a cookie that scripts cannot read and that
the browser sends to the object's path alone. Neither opens anything of the API.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from submarine_ray.access.principals import Principal, PrincipalKind

TICKET_SECONDS = 30
PASS_SECONDS = 12 * 3600


@dataclass(frozen=True)
class Permit:
    """Who may see what lies at `path` of `origin`, until when (seconds since 1970); they came from `main`. It ends with
    the sign-in `session`, if it was given to one.
    """

    use: str
    origin: str
    path: str
    main: str
    kind: str
    name: str
    session: str
    until: float
    number: str

    @property
    def principal(self) -> Principal:
        return Principal(PrincipalKind(self.kind), self.name)


class Tickets:
    """Issues and reads permits, signed with `key`. `spend` notes that the ticket of a number was used, which is of no
    interest after a time in ms since 1970; False if it was used before, at whichever service.
    """

    def __init__(self, key: bytes, spend: Callable[[str, int], bool]) -> None:
        self._key = key
        self._spend = spend

    def ticket(self, principal: Principal, session: str, origin: str, path: str, main: str) -> str:
        """What a browser takes along to the content's origin."""
        number = secrets.token_urlsafe(12)
        until = time.time() + TICKET_SECONDS
        who = principal.kind, principal.name, session
        return self._signed(Permit("ticket", origin, path, main, *who, until, number))

    def redeem(self, text: str, origin: str, path: str) -> str | None:
        """The pass for a ticket; None if it is not for this, too old, or was used. Raises DatabaseUnavailable."""
        permit = self._read("ticket", text, origin, path)
        if permit is None or not self._spend(permit.number, int(permit.until * 1000) + 1000):
            return None
        return self._signed(replace(permit, use="pass", until=time.time() + PASS_SECONDS))

    def admitted(self, text: str, origin: str, path: str) -> Permit | None:
        """What a pass says; None if it does not open this."""
        return self._read("pass", text, origin, path)

    def _signed(self, permit: Permit) -> str:
        body = base64.urlsafe_b64encode(json.dumps(asdict(permit)).encode()).decode().rstrip("=")
        return f"{body}.{self._signature(body)}"

    def _read(self, use: str, text: str, origin: str, path: str) -> Permit | None:
        body, _, signature = text.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            return None
        permit = Permit(**json.loads(base64.urlsafe_b64decode(f"{body}{'=' * (-len(body) % 4)}")))
        fits = (permit.use, permit.origin, permit.path) == (use, origin, path)
        return permit if fits and permit.until > time.time() else None

    def _signature(self, body: str) -> str:
        digest = hmac.new(self._key, body.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
