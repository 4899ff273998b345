"""What other users of the machine come to while a platform runs."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray
NOBODY = 65534


def places(platform: RunningPlatform) -> list[Path]:
    """The home, and where Ray and HAProxy keep what does not fit below it."""
    directory = Path(json.loads(platform.home.ray_state.read_text())["directory"])
    made = {path for path in Path("/tmp").glob(f"s*-{os.getuid()}-*") if directory.is_relative_to(path)}
    haproxy = set(Path("/tmp").glob(f"sr-{os.getuid()}-*"))
    return [platform.home.root, *made, *haproxy]


def test_nobody_else_comes_to_the_platforms_files(platform: RunningPlatform) -> None:
    id = platform.submit("echo made > file; stat -c '%a' file; ls -l /dev/shm")
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    assert "600" in platform.lines(id)["worker-0"]
    for place in places(platform):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700, place
    home = platform.home
    for file in (home.database, Path(f"{home.database}-wal"), home.mlflow_database, home.service_log, home.ray_log):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert not list(Path("/dev/shm").glob("*plasma*"))  # Ray's objects have no name


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_cannot_replace_what_ray_unpacked(platform: RunningPlatform) -> None:
    directory = Path(json.loads(platform.home.ray_state.read_text())["directory"])
    assert stat.S_IMODE(directory.stat().st_mode) & 0o002  # Ray's own is open; the one around it is not
    for place in (platform.home.root, *places(platform), *directory.glob("session_*/runtime_resources")):
        for attempt in (f"ls {place}", f"touch {place}/theirs", f"ls {place}/.."):
            done = subprocess.run(
                ["/bin/sh", "-c", attempt], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                capture_output=True, text=True,
            )  # fmt: skip
            if not attempt.endswith("..") or place.parent != Path("/tmp"):
                assert "ermission denied" in done.stderr, (attempt, done)
