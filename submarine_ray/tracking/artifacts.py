"""A run's artifacts, listed and read by the names that they really have.

MLflow's own reader decodes percent signs, and refuses `#` and more. Where artifacts lie on this machine they are read
from there, and a path is safe if it stays below the run's directory; elsewhere a name is a key of the store's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from submarine_ray.core.errors import InvalidSpec, NotFound, TrackingUnavailable
from submarine_ray.spec import passing
from submarine_ray.tracking.entities import ArtifactStore
from submarine_ray.tracking.failures import ours, translated
from submarine_ray.tracking.locations import is_inside


class Artifact(NamedTuple):
    """A file or directory; `path` from the run's artifacts on, `size` in bytes."""

    path: str
    is_dir: bool
    size: int | None


def repository(uri: str, stored_at: str, root: str) -> ArtifactStore:
    """The store of what lies at an artifact URI, which is `stored_at`. Raises InvalidSpec: it is not below `root`."""
    if not is_inside(uri, root):
        raise InvalidSpec(f"The artifacts lie outside of this service's artifact root: {uri[:200]!r}.")
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    store: ArtifactStore = get_artifact_repository(stored_at)
    return store


def listed(repository: ArtifactStore, path: str) -> list[Artifact]:
    """What lies directly below `path`. Raises InvalidSpec for a path that leads out of the run."""
    wanted = inside(path)
    with translated():
        found = repository.list_artifacts(wanted or None)
    return [Artifact(f.path, f.is_dir, f.file_size) for f in found]


@contextmanager
def opened(repository: ArtifactStore, path: str) -> Iterator[Path]:
    """An artifact as a file on this machine, while the context lasts. Raises InvalidSpec, NotFound."""
    safe = inside(path)
    if not safe:
        raise InvalidSpec("name the artifact to read", "path")
    if root := _local_root(repository):
        yield _local(root, safe)
        return
    with translated():
        beside = repository.list_artifacts(_above(safe))
    if any(found.is_dir for found in beside if found.path == safe):
        raise InvalidSpec(f"{safe!r} is a directory; list it instead", "path")
    with passing.passing("artifact") as directory:
        try:
            local = Path(repository.download_artifacts(safe, str(directory)))
        except Exception as failure:
            found = ours(failure)
            if isinstance(found, TrackingUnavailable) and not isinstance(failure, FileNotFoundError):
                raise found from failure
            # Each artifact store has its own errors for "is not there".
            raise NotFound(f"There is no artifact {safe!r}.") from failure
        yield local


def inside(path: str) -> str:
    """`path` in its shortest form, if it stays inside. Raises InvalidSpec."""
    if path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path:
        raise InvalidSpec(f"{path[:120]!r} is not a path inside the experiment's artifacts", "path")
    return str(PurePosixPath(path)) if path else ""


def _local(root: Path, path: str) -> Path:
    """The file below `root`, whatever links lead to. Raises InvalidSpec, NotFound."""
    try:
        file = (root / path).resolve()
        if not file.is_relative_to(root.resolve()):
            raise InvalidSpec(f"{path[:120]!r} leads out of the experiment's artifacts", "path")
        if file.is_dir():
            raise InvalidSpec(f"{path[:120]!r} is a directory; list it instead", "path")
        if not file.is_file():
            raise NotFound(f"There is no artifact {path[:120]!r}.")
    except (OSError, RuntimeError) as failure:  # a name that is too long, a loop of links
        raise NotFound(f"There is no artifact {path[:120]!r}.") from failure
    return file


def _local_root(repository: ArtifactStore) -> Path | None:
    """Where the artifacts lie on this machine, if they do."""
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    return Path(repository.artifact_dir) if isinstance(repository, LocalArtifactRepository) else None


def _above(path: str) -> str | None:
    """The directory that holds `path`; None for the top, as MLflow has it."""
    parent = str(PurePosixPath(path).parent)
    return None if parent == "." else parent
