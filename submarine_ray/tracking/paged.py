"""MLflow's searches answer in pages: all results of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from submarine_ray.tracking.entities import Page

PAGE = 1000
Found = TypeVar("Found")


def every(search: Callable[..., Page[Found]], *arguments: object, **options: object) -> list[Found]:
    """Every result of `search`, one of the client's methods, called with these arguments."""
    found: list[Found] = []
    token: str | None = None
    while True:
        page = search(*arguments, max_results=PAGE, page_token=token, **options)
        found += page
        token = page.token
        if not token:
            return found
