"""MLflow's searches answer in pages: all results of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PAGE = 1000


def every(search: Callable[..., Any], *arguments: Any, **options: Any) -> list[Any]:
    """Every result of `search`, one of the client's methods, called with these arguments."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = search(*arguments, max_results=PAGE, page_token=token, **options)
        found += page
        token = page.token
        if not token:
            return found
