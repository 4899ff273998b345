"""Deletes what is not needed any more: files that killed processes left on this machine's disk, and packages of code
that no experiment refers to. Only what is certainly ours, and old.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import structlog

from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.database import Database
from submarine_ray.experiments import provenance_rows, repository
from submarine_ray.packages.service import PackageService
from submarine_ray.spec import passing
from submarine_ray.spec.deletions import DeletedKind
from submarine_ray.spec.home import Home

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 3600.0
AT_ONCE = 500
UNUSED_PACKAGE_SECONDS = 24 * 3600.0


class Tidying:
    """Deletes, once an hour, temporary files, the home's directories of deleted experiments, unused packages, lists of
    installed packages that no attempt has, and old notices.
    """

    def __init__(
        self,
        database: Database,
        packages: PackageService,
        tombstones: Tombstones,
        home: Home,
        prune_notices: Callable[[], None],
    ) -> None:
        self._prune_notices = prune_notices
        self._database = database
        self._packages = packages
        self._tombstones = tombstones
        self._home = home
        self._look_after = 0.0

    def tick(self) -> float:
        """The seconds until the next look."""
        if time.monotonic() >= self._look_after:
            self._look_after = time.monotonic() + PAUSE_SECONDS
            for path in passing.sweep():
                log.info("tidying.removed", directory=str(path))
            self.sweep_home()
            self.sweep_packages()
            self.sweep_package_sets()
            self._prune_notices()
        return max(0.0, self._look_after - time.monotonic())

    def sweep_packages(self) -> None:
        """Delete uploaded packages that no experiment refers to."""
        with self._database.session() as session:
            referred = repository.packages(session)
        self._packages.prune(referred, UNUSED_PACKAGE_SECONDS)

    def sweep_package_sets(self) -> None:
        """Delete the lists of installed packages of attempts that are gone, or have told another since."""
        with self._database.session() as session:
            unused = provenance_rows.unused(session)
        if unused:
            with self._database.session(write=True) as session:
                provenance_rows.prune(session, unused)

    def sweep_home(self) -> list[Path]:
        """Delete directories of experiments that users have deleted. A directory stays if the database merely does not
        know its experiment: the database may be the one that is wrong.
        """
        there: dict[str, list[Path]] = {}
        for path in self._old():
            there.setdefault(path.name, []).append(path)
        removed = []
        for ids in _some(sorted(there)):
            buried = self._tombstones.which(DeletedKind.EXPERIMENT, ids)
            with self._database.session() as session:
                known = repository.which(session, ids)
            removed += [path for id in sorted(buried - known) for path in there[id]]
        for path in removed:
            shutil.rmtree(path, ignore_errors=True)
            log.info("tidying.removed", directory=str(path))
        return removed

    def _old(self) -> Iterator[Path]:
        for place in (self._home.work, self._home.tensorboard):
            if place.is_dir():
                for path in place.iterdir():
                    is_old = time.time() - path.lstat().st_mtime > passing.OLD_SECONDS
                    if is_old and path.is_dir() and not path.is_symlink():
                        yield path


def _some(ids: list[str]) -> Iterator[Collection[str]]:
    for begin in range(0, len(ids), AT_ONCE):
        yield ids[begin : begin + AT_ONCE]
