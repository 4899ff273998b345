"""What a pod does before Kubernetes takes it away: runners are told to end, and waited for; nobody else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PIDS_APART

SCRIPT = """
import pathlib, signal, subprocess, sys, time

place = pathlib.Path(sys.argv[1])
SAVES = '''
import pathlib, signal, sys, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path(sys.argv[1], "saved").touch()
    sys.exit()
signal.signal(signal.SIGTERM, save)
pathlib.Path(sys.argv[1], "ready").touch()
while True:
    time.sleep(1)
'''
runner = subprocess.Popen([sys.executable, "-c", SAVES, str(place), "-m", "submarine_ray.runner"])
other = subprocess.Popen(["sleep", "60"])
while not (place / "ready").exists():
    time.sleep(0.01)
subprocess.run([sys.executable, "-m", "submarine_ray.runner.leave"], check=True, timeout=30)
print((place / "saved").exists(), other.poll())
"""


@pytest.mark.skipif(not PIDS_APART, reason="needs the right to make process ids of one's own (unshare --pid)")
def test_runners_end_first_and_have_their_time(tmp_path: Path) -> None:
    done = subprocess.run(
        [*PIDS_APART, sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["True", "None"], done.stderr
