"""A replica's own place on its node's disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from submarine_ray.runner import places
from submarine_ray.spec import spool
from submarine_ray.spec.launch import Launch


@dataclass(frozen=True)
class Workspace:
    """A replica's own place on its node's disk: `root` has what the platform needs, `directory` is where it runs."""

    root: Path
    directory: Path
    keep: bool
    told: list[str] = field(default_factory=list)
    """Sentences about its code, for the log."""

    @property
    def spool(self) -> Path:
        """Where `log_metric` writes."""
        return self.root / spool.FILE

    def variables(self) -> dict[str, str]:
        """Submarine's CODE_PATH, where there is code: it lies in $CODE_PATH/current."""
        return {} if self.directory == self.root else {"CODE_PATH": str(self.directory.parent)}

    def close(self) -> None:
        """Leave nothing behind on clusters where nobody would tidy up."""
        if not self.keep:
            import shutil  # late, as `fetching`: it loads libraries of compression, and most replicas need none

            shutil.rmtree(self.root, ignore_errors=True)


def prepare(launch: Launch, replica: str) -> Workspace:
    """The replica's workspace, with the code in it if there is any. Raises CodeSyncFailed, InvalidLaunch."""
    places.ensure(launch)
    if launch.work_dir:
        root = Path(launch.work_dir) / replica
    else:
        from submarine_ray.spec import passing

        root = passing.directory("replica")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if launch.tensorboard_dir:
        Path(launch.tensorboard_dir).mkdir(parents=True, exist_ok=True)
    if launch.code is None:
        return Workspace(root, root, launch.keep_work)
    told: list[str] = []
    target = root / "code" / "current"
    if not target.exists():
        from submarine_ray.runner import fetching

        told = fetching.place(launch.code, root, target)
    return Workspace(root, target, launch.keep_work, told)
