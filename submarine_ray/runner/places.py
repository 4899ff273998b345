"""Where an attempt keeps its files on a cluster elsewhere: in /tmp, and its user's alone all the same."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from submarine_ray.runner.errors import InvalidLaunch
from submarine_ray.spec import private
from submarine_ray.spec.launch import Launch

SHARED = Path("/tmp/submarine")  # noqa: S108 (what the service names; it does not know who runs its jobs)


def own(launch: Launch) -> Launch:
    """The launch with places of this user's. Raises InvalidLaunch where somebody else was there before."""
    if not _is_below(launch.work_dir, SHARED):
        return launch
    return ensure(
        replace(
            launch,
            work_dir=_own(launch.work_dir),
            tensorboard_dir=_own(launch.tensorboard_dir),
            storage_dir=_own(launch.storage_dir),
        )
    )


def ensure(launch: Launch) -> Launch:
    """Make the directory that holds all places of a launch, on this node. Raises InvalidLaunch."""
    base = next((base for base in (SHARED, _own_base()) if _is_below(launch.work_dir, base)), None)
    if base is not None:
        try:
            private.directory(base)
        except (private.NotPrivate, OSError) as failure:
            raise InvalidLaunch(f"the node has no place for the attempt's files: {failure}") from failure
    return launch


def _own(place: str | None) -> str | None:
    if place is None or not _is_below(place, SHARED):
        return place
    # Notebooks and checkpoints of earlier versions stay where they are, if that place is this user's alone.
    base = SHARED if SHARED.is_dir() and SHARED.lstat().st_uid == os.getuid() else _own_base()
    return str(base / Path(place).relative_to(SHARED))


def _own_base() -> Path:
    return SHARED.with_name(f"{SHARED.name}-{os.getuid()}")


def _is_below(place: str | None, base: Path) -> bool:
    return place is not None and Path(place).is_relative_to(base)
