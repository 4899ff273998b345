"""`SearchClient`: finds everything that has a page in the workbench, and keeps favourites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from submarine_ray.client.http import PATIENCE_SECONDS, Service

_BASE = "/api/v1"


class SearchClient:
    """Searches, and keeps favourites.

    Args:
        host: the control service's URL, as for ExperimentClient.
        token: the token for it.
        patience: seconds to try again for while the service does not answer.
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def search(self, text: str, kinds: Sequence[str] = (), limit: int = 6) -> list[dict[str, Any]]:
        """Return what has all words of a text in its name, kind by kind, the best match of each kind first.

        Args:
            text: words or parts of words, in any order; an experiment is also found by its tags, and by the beginning
                of its id.
            kinds: the kinds to search: `experiment`, `model`, `model-version`, `endpoint`, `template`, `environment`,
                `notebook`, `cluster`, `report`, `workspace` (of charts), `experiment-view`, `help`; default all.
            limit: results of each kind, at most 50.

        Raises:
            ApiError: there is no such kind, or the text is too long.
            ServiceUnreachable: the service does not answer.
        """
        return list(self.service.call("GET", f"{_BASE}/search", params={"text": text, "kind": kinds, "limit": limit}))

    def favourites(self) -> list[dict[str, Any]]:
        """Return your favourites, the newest first; errors as for `search`."""
        return list(self.service.call("GET", f"{_BASE}/recent")["starred"])

    def recent(self) -> list[dict[str, Any]]:
        """Return what you opened last in the workbench, without favourites; errors as for `search`."""
        return list(self.service.call("GET", f"{_BASE}/recent")["recent"])

    def star(self, kind: str, key: str) -> None:
        """Add something to your favourites.

        Args:
            kind: `experiment`, `model`, `endpoint`, `template` or `notebook`.
            key: an experiment's or a notebook's id, `model/version` of an endpoint, the name of everything else.

        Raises:
            ApiError: there is no such thing.
            ServiceUnreachable: the service does not answer.
        """
        self.service.call("PUT", _favourite(kind, key))

    def unstar(self, kind: str, key: str) -> None:
        """Remove something from your favourites; arguments and errors as for `star`."""
        self.service.call("DELETE", _favourite(kind, key))


def _favourite(kind: str, key: str) -> str:
    return f"{_BASE}/favourite/{quote(kind, safe='')}/{quote(key)}"
