"""What a cluster on this machine and the service share: the disk.

Launches and packages reach the cluster through it, which spares jobs a runtime environment and so keeps Ray's
prestarted workers usable (seconds for each experiment); logs come back through it, whether the cluster runs or not.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from submarine_ray.clusters.drivers.base import LogBeganAnew
from submarine_ray.spec.home import Home
from submarine_ray.spec.launch import Launch
from submarine_ray.spec.spool import FILE

TAIL_SECONDS = 0.1
PIECE = 65_536  # of a log: what each reader holds of it
LOOKS_A_STATUS = 4  # a job's status is asked for at every fourth look at its log


@dataclass(frozen=True)
class Disk:
    """`home` is this platform's directory, `ray` the one where the cluster keeps its sessions."""

    home: Home
    ray: Path

    def place(self, launch: Launch) -> Launch:
        """Give the launch its directories."""
        if launch.notebook:
            notebook = replace(launch.notebook, host="127.0.0.1")
            return replace(launch, work_dir=str(self.home.notebooks / notebook.folder), notebook=notebook)
        work = self.home.work / launch.experiment_id
        return replace(
            launch,
            work_dir=str(work / launch.submission_id),
            keep_work=True,  # what a script leaves in its directory stays until the experiment is deleted
            tensorboard_dir=str(self.home.tensorboard / launch.experiment_id),
            storage_dir=str(work / "storage"),
        )

    def write(self, launch: Launch) -> Path:
        """The launch as a file for the runner; nobody else may read it: it can hold users' variables."""
        path = self._launch_file(launch.submission_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(".tmp")
        partial.touch(mode=0o600)
        partial.write_text(launch.dumps())
        return partial.replace(path)

    def log_file(self, submission_id: str) -> Path | None:
        """The file that the job's driver writes, in the newest session that has it."""
        files = self._log_files(submission_id)
        return files[-1] if files else None

    def read(self, submission_id: str, offset: int) -> Iterator[bytes] | None:
        """What the job has written from a byte on; None if there is no file of it here. Raises LogBeganAnew."""
        file = self.log_file(submission_id)
        if file is None:
            return None
        if file.stat().st_size < offset:
            raise LogBeganAnew(submission_id)
        return _pieces(file, offset)

    async def tail(
        self, submission_id: str, since: int, is_active: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """What the job has written after a byte and goes on to write; Ray's own stream is a second or two behind.

        `is_active` tells whether the job may still write.
        """
        offset, looks, active = since, 0, True
        while active:
            looks += 1
            if looks % LOOKS_A_STATUS == 0:
                active = await is_active()  # before the last look, so that it misses nothing
            if file := self.log_file(submission_id):
                for piece in _pieces(file, offset):
                    offset += len(piece)
                    yield piece
            if active:
                await asyncio.sleep(TAIL_SECONDS)

    def forget(self, submission_id: str) -> None:
        """Remove what only an attempt that is still on the cluster needs."""
        for file in (self._launch_file(submission_id), *self._log_files(submission_id)):
            file.unlink(missing_ok=True)

    def spools(self, experiment_id: str, submission_id: str) -> dict[str, Path]:
        """What an attempt's replicas logged, by replica."""
        found = (self.home.work / experiment_id / submission_id).glob(f"*/{FILE}")
        return {file.parent.name: file for file in sorted(found)}

    def purge(self, experiment_id: str) -> None:
        """Remove what an experiment's attempts left."""
        for directory in (self.home.work, self.home.tensorboard):
            shutil.rmtree(directory / experiment_id, ignore_errors=True)

    def _launch_file(self, submission_id: str) -> Path:
        return self.home.launches / f"{submission_id}.json"

    def _log_files(self, submission_id: str) -> list[Path]:
        return sorted(self.ray.glob(f"session_[0-9]*/logs/job-driver-{submission_id}.log"))


def _pieces(file: Path, offset: int) -> Iterator[bytes]:
    with file.open("rb") as opened:
        opened.seek(offset)
        while piece := opened.read(PIECE):
            yield piece
