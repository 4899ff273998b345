"""Who asks: the caller of a request, as the gate found it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MISSING_OR_WRONG = (
    "The token is missing or wrong; send 'Authorization: Bearer <token>'. The CLI and the SDK send what "
    "SUBMARINE_TOKEN holds where they run."
)


class PrincipalKind(StrEnum):
    """An administrator may do everything; a notebook acts for its user; an attempt reaches its own run alone, an
    endpoint reads its own model version; a ticket fetches one launch, once.
    """

    ADMINISTRATOR = "administrator"
    NOTEBOOK = "notebook"
    ATTEMPT = "attempt"
    ENDPOINT = "endpoint"
    TICKET = "ticket"


@dataclass(frozen=True)
class Principal:
    """A caller. `name` is the notebook's id, the attempt's submission id (of a ticket too) or the endpoint's name; an
    administrator's is how they signed in.
    """

    kind: PrincipalKind
    name: str
