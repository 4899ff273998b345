"""Who asks: the caller of a request, as the gate found it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """An administrator may do everything; a notebook acts for its user; an attempt reaches its own run alone."""

    ADMINISTRATOR = "administrator"
    NOTEBOOK = "notebook"
    ATTEMPT = "attempt"


@dataclass(frozen=True)
class Principal:
    """A caller. `name` is a notebook's id or an attempt's submission id; an administrator's says how they signed in."""

    kind: PrincipalKind
    name: str
