"""`SavedClient`: documents that users save in the service, such as views of the table of experiments."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from submarine_ray.client.http import PATIENCE_SECONDS, Service

VIEWS = "experiment-view"


class SavedClient:
    """Saves, shows and shares documents; arguments and errors as for EnvironmentClient."""

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def list_saved(self, kind: str = VIEWS) -> list[dict[str, Any]]:
        """Return the documents of a kind that you may see: your own, and those shared with the team.

        Args:
            kind: the documents' kind; `experiment-view`: views of the table of experiments.
        """
        return list(self.service.call("GET", _path(kind)))

    def get_saved(self, kind: str, id: str) -> dict[str, Any]:
        """Return a document by its id."""
        return dict(self.service.call("GET", _path(kind, id)))

    def create_saved(self, kind: str, name: str, document: dict[str, Any], audience: str = "private") -> dict[str, Any]:
        """Save a document.

        Args:
            kind: its kind.
            name: its name. You can use a name once per kind.
            document: its content; the kind decides which fields it has.
            audience: who sees it: `private` (only you) or `team` (everyone who can use the service).
        """
        body = {"name": name, "document": document, "audience": audience}
        return dict(self.service.call("POST", _path(kind), json=body))

    def change_saved(self, kind: str, id: str, **changes: Any) -> dict[str, Any]:
        """Change the `name`, `document` or `audience` of a document of your own; the rest stays."""
        return dict(self.service.call("PATCH", _path(kind, id), json=changes))

    def delete_saved(self, kind: str, id: str) -> dict[str, Any]:
        """Delete a document of your own."""
        return dict(self.service.call("DELETE", _path(kind, id)))


def _path(kind: str, id: str | None = None) -> str:
    path = f"/api/v1/saved/{quote(kind, safe='')}"
    return path if id is None else f"{path}/{quote(id, safe='')}"
