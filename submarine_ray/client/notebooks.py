"""`NotebookClient`: every method of Submarine's, over this service."""

from __future__ import annotations

from multiprocessing.pool import AsyncResult
from typing import Any
from urllib.parse import quote

from submarine_ray.client.http import PATIENCE_SECONDS, Service, later

_BASE = "/api/v1/notebook"


class NotebookClient:
    """Creates and manages notebooks; arguments and errors as of EnvironmentClient.

    Source: Submarine's "Notebook REST API" and its published client.
    """

    def __init__(self, host: str | None = None, token: str | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self.service = Service(host, token, patience)

    def create_notebook(self, notebook_spec: dict[str, Any]) -> dict[str, Any]:
        """Create a notebook; it is ready once its `status` is running."""
        return dict(self.service.call("POST", _BASE, json=notebook_spec))

    def get_notebook(self, id: str) -> dict[str, Any]:
        """Return a notebook."""
        return dict(self.service.call("GET", _one(id)))

    def get_notebook_async(self, id: str) -> AsyncResult[dict[str, Any]]:
        """The same without waiting: `.get()` has the answer, or raises its error."""
        return later(self.get_notebook, id)

    def list_notebooks(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """Return all notebooks, oldest first; with `user_id`, those of that owner."""
        return list(self.service.call("GET", _BASE, params={"id": user_id} if user_id else {}))

    def list_notebooks_async(self, user_id: str | None = None) -> AsyncResult[list[dict[str, Any]]]:
        """The same as `list_notebooks` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.list_notebooks, user_id)

    def delete_notebook(self, id: str) -> dict[str, Any]:
        """Delete a notebook. Its files stay; a new notebook of the same name has them again."""
        return dict(self.service.call("DELETE", _one(id)))

    def delete_notebook_async(self, id: str) -> AsyncResult[dict[str, Any]]:
        """The same as `delete_notebook` without waiting: `.get()` has the answer, or raises its error."""
        return later(self.delete_notebook, id)

    def stop_notebook(self, id: str) -> dict[str, Any]:
        """Stop a notebook's process; the notebook stays listed."""
        return dict(self.service.call("POST", f"{_one(id)}/stop"))

    def start_notebook(self, id: str) -> dict[str, Any]:
        """Start a notebook that is stopped or has failed."""
        return dict(self.service.call("POST", f"{_one(id)}/start"))

    def events(self, id: str) -> list[dict[str, Any]]:
        """Return a notebook's events, oldest first."""
        return list(self.service.call("GET", f"{_one(id)}/events"))


def _one(id: str) -> str:
    return f"{_BASE}/{quote(id, safe='')}"
