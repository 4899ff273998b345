"""A PackageService over one directory."""

from __future__ import annotations

import functools
from pathlib import Path

from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.database import Database, Table
from submarine_ray.packages.service import PackageService
from submarine_ray.packages.store import MAX_UNPACKED, PackageStore


def packages_at(directory: Path, max_unpacked: int = MAX_UNPACKED) -> PackageService:
    """Packages in `directory`; who removed which is noted beside it."""
    return PackageService(PackageStore(directory, max_unpacked), tombstones_at(directory.parent))


@functools.cache
def tombstones_at(directory: Path) -> Tombstones:
    directory.mkdir(parents=True, exist_ok=True)
    database = Database(f"sqlite:///{directory}/tombstones.db")
    Table.metadata.create_all(database.engine)
    return Tombstones(database)
