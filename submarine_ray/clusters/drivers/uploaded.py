"""Uploaded code for a job; its failures become the errors of drivers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from submarine_ray.clusters.drivers.base import Blocked, CodeRefused
from submarine_ray.packages.service import PackageNotReady, PackageService, PackageUnusable

BLOCKED_MS = 30_000


def unpacked(packages: PackageService, url: str) -> Path:
    """See PackageService.unpack. Raises CodeRefused if it never can be one, Blocked if it cannot be one now."""
    with _told():
        return packages.unpack(url)


def wrapped(packages: PackageService, url: str) -> bytes:
    """See PackageService.wrapped. Raises CodeRefused, Blocked."""
    with _told():
        return packages.wrapped(url)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PackageUnusable as failure:
        raise CodeRefused(str(failure)) from failure
    except PackageNotReady as failure:
        raise Blocked("CodeWaits", str(failure), BLOCKED_MS) from failure
