"""A train function as it travels in the cluster: pickled, with the modules and files that it needs beside it."""

from __future__ import annotations

import atexit
import hashlib
import inspect
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from submarine_ray.client.package import FUNCTION_FILE, MODULES, WORK
from submarine_ray.runner.errors import InvalidLaunch
from submarine_ray.spec import passing
from submarine_ray.spec.launch import FINAL_STATUS

HINT = "give the package that has it in pip=[...]; a module of your own travels if it lies beside the script"


@dataclass(frozen=True)
class TrainFunction:
    """`files` are paths and (content, mode). Ray carries it whole: workers on other nodes share no disk with us."""

    pickled: bytes
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> TrainFunction:
        """The function in an unpacked package. Raises InvalidLaunch, also if it cannot be loaded here."""
        if not (directory / FUNCTION_FILE).exists():
            raise InvalidLaunch(f"the package has no {FUNCTION_FILE}", FINAL_STATUS)
        found = {
            path.relative_to(directory).as_posix(): (path.read_bytes(), path.stat().st_mode)
            for part in (MODULES, WORK)
            for path in sorted((directory / part).rglob("*"))
            if path.is_file()
        }
        function = cls((directory / FUNCTION_FILE).read_bytes(), found)
        function._check()
        return function

    def load(self) -> Any:
        """The function itself, in this process, which can import its modules from now on."""
        import cloudpickle

        if self.files and (digest := self._digest) not in _placed:
            _placed[digest] = _place(self.files)
        # Pickled by the same user who asked for this experiment, and run as such: no more trusted than its command.
        return cloudpickle.loads(self.pickled)

    @property
    def _digest(self) -> str:
        digest = hashlib.sha256(self.pickled)
        for name, (content, _) in self.files.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def _check(self) -> None:
        try:
            self.load()
        except ModuleNotFoundError as failure:
            raise InvalidLaunch(
                f"the train function failed: it needs the module {failure.name!r}, which the cluster has not; {HINT}",
                FINAL_STATUS,
            ) from failure
        except Exception as failure:
            why = f"{type(failure).__name__}: {failure}"[:1000]
            raise InvalidLaunch(f"the train function failed: it cannot be loaded: {why}", FINAL_STATUS) from failure


_placed: dict[str, Path] = {}  # in this process: by a function's digest, where its files are


def _place(files: Mapping[str, tuple[bytes, int]]) -> Path:
    """Write them to this node's disk, and import from there."""
    directory = passing.directory("function")
    atexit.register(passing.remove, directory)
    for name, (content, mode) in files.items():
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
    sys.path[:0] = [str(directory / part) for part in (WORK, MODULES) if (directory / part).exists()]
    if (directory / WORK).exists():
        os.chdir(directory / WORK)
    return directory


def call(function: Any, params: Mapping[str, Any]) -> Any:
    """The train function, with the trial's parameters if it takes any."""
    return function(dict(params)) if inspect.signature(function).parameters else function()
