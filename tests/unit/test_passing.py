"""What killed processes have left is taken away: only what is certainly ours, old, and held by nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from submarine_ray.access.tombstones import Tombstones
from submarine_ray.core.database import Database
from submarine_ray.experiments.tidying import Tidying
from submarine_ray.packages.service import PackageService
from submarine_ray.packages.store import PackageStore
from submarine_ray.spec import passing
from submarine_ray.spec.home import Home

HOLDS = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from submarine_ray.spec import passing
print(passing.directory("replica"), flush=True)
sys.stdin.read()
"""
DAYS_AGO = time.time() - 3 * 24 * 3600


def aged(path: Path) -> Path:
    os.utime(path, (DAYS_AGO, DAYS_AGO))
    return path


def test_a_directory_is_swept_once_its_process_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        held = aged(Path(process.stdout.readline().strip()))
        assert held.parent == tmp_path and passing.sweep(tmp_path) == []
        process.kill()
    assert passing.sweep(tmp_path) == [held] and not held.exists()


def test_what_is_young_or_not_certainly_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing.tempfile, "tempdir", str(tmp_path))
    users = tmp_path / "users"
    users.mkdir(mode=0o700)
    (tmp_path / "submarine-log-aaaaaaa1").mkdir(mode=0o755)
    (tmp_path / "submarine-log-aaaaaaa2").symlink_to(users)
    (tmp_path / "submarine-log-aaaaaaa3").touch(mode=0o700)
    (tmp_path / "submarine-mine-aaaaaaa4").mkdir(mode=0o700)
    (tmp_path / "submarine-log-notes.txt").mkdir(mode=0o700)
    (tmp_path / "submarine-log-aaaaaaa5").mkdir(mode=0o700)
    for path in tmp_path.iterdir():
        if path.name != "submarine-log-aaaaaaa5":  # the young one
            aged(path)
    with passing.passing("log") as here:
        assert here.stat().st_mode & 0o777 == 0o700
        aged(here)
        assert passing.sweep() == []
    assert not here.exists() and users.exists()
    assert len(list(tmp_path.iterdir())) == 7


def test_only_directories_of_experiments_that_were_deleted_go(tmp_path: Path) -> None:
    home = Home(tmp_path)
    database = Database(f"sqlite:///{home.database}")
    database.migrate()
    tombstones = Tombstones(database)
    for id in ("experiment-1-0001", "experiment-1-0002"):
        tombstones.bury("experiment", id)
        for place in (home.work, home.tensorboard):
            (place / id / "deep").mkdir(parents=True)
            if id.endswith("1"):
                aged(place / id)
    (home.work / "experiment-1-0003").mkdir()  # the database does not know it: perhaps it is the database's fault
    aged(home.work / "experiment-1-0003")
    packages = PackageService(PackageStore(home.packages, 2**30), tombstones)
    removed = Tidying(database, packages, tombstones, home, lambda: None).sweep_home()
    assert sorted(removed) == [home.tensorboard / "experiment-1-0001", home.work / "experiment-1-0001"]
    assert sorted(path.name for path in home.work.iterdir()) == ["experiment-1-0002", "experiment-1-0003"]
    database.close()
