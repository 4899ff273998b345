"""Checks the owner and the permissions of the service's directories before it starts."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from submarine_ray.core.settings import Settings
from submarine_ray.spec import private

log = structlog.get_logger(__name__)


def secure(settings: Settings) -> None:
    """Make the service's files its user's alone. Raises NotPrivate where another user could change what it runs.

    In a container a volume may be anybody's, and there is nobody else: a service that listens beyond this machine
    only says what it finds.
    """
    os.umask(private.PRIVATE_UMASK)
    packages = settings.package_directory or settings.layout.packages
    for place in (settings.layout.root, packages):
        try:
            private.check(private.directory(place))
        except (private.NotPrivate, PermissionError) as failure:
            if settings.is_loopback:
                raise
            log.warning("place.not_private", why=str(failure))
    private.check_tree(Path(__file__).parent.parent)
