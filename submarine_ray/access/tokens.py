"""The tokens of attempts, notebooks and endpoints, and the tickets that fetch launches.

A token is a name with a keyed hash over it: nothing of it is stored, and whoever lacks the service's secret key makes
none. What it opens, and whether it still opens anything, is asked at each request (`scopes.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.spec.strength import MADE_HERE

# What scanners for leaked secrets can look for; and which form of token this is.
PREFIX = MADE_HERE
VERSION = "1"
LONGEST = 512
# What the key is derived for: tokens tell nothing of what the secret seals elsewhere.
PURPOSE = "submarine-ray: tokens, version 1"
# An administrator's token is the operator's to choose, never made here.
_LETTERS = {
    PrincipalKind.ATTEMPT: "a",
    PrincipalKind.NOTEBOOK: "n",
    PrincipalKind.ENDPOINT: "e",
    PrincipalKind.TICKET: "t",
}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


class Tokens:
    """Makes tokens and knows its own again; all services that share the secret key know each other's."""

    def __init__(self, key: bytes) -> None:
        """`key` is used for nothing else."""
        self._key = key

    def issue(self, kind: PrincipalKind, name: str) -> str:
        """The token of a principal: the same each time. Raises KeyError for an administrator."""
        said = f"{PREFIX}{VERSION}.{_LETTERS[kind]}.{_encoded(name.encode())}"
        return f"{said}.{self._seal(said)}"

    def read(self, token: str) -> Principal | None:
        """Whose token this is; None if it was not made here."""
        if len(token) > LONGEST or not token.isascii() or not token.startswith(f"{PREFIX}{VERSION}."):
            return None
        said, _, seal = token.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(said).encode()):
            return None
        _, letter, name = said.split(".")
        return Principal(_KINDS[letter], _decoded(name))

    def _seal(self, said: str) -> str:
        return _encoded(hmac.digest(self._key, said.encode(), hashlib.sha256))


def is_ours(token: str) -> bool:
    """Whether it has the form of a token that is made here, true or not."""
    return token.startswith(PREFIX)


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as failure:  # never: the seal was right
        raise AssertionError("a sealed name cannot be read") from failure
