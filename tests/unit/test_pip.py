"""What pip's solver says, and what of it is a refusal."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from submarine_ray.clusters.drivers import pip
from submarine_ray.clusters.drivers.base import RUNTIME_ENV_FAILURE, Job, JobState, PackagesRefused
from submarine_ray.experiments.decide import Desired, Observe, Observed, decide

CONFLICT = """
ERROR: Cannot install numpy==1.20.0 and pandas==2.2.3 because these package versions have conflicting dependencies.

The conflict is caused by:
    The user requested numpy==1.20.0
    pandas 2.2.3 depends on numpy>=1.23.2

To fix this you could try to:
1. loosen the range of package versions you've specified
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""
MANY = ", ".join(f"0.{number}" for number in range(100))
MISSING = """ERROR: Could not find a version that satisfies the requirement sniffio==99.9 (from versions: 1.3.0, 1.3.1)
ERROR: No matching distribution found for sniffio==99.9
"""
OFFLINE = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'
ERROR: Could not find a version that satisfies the requirement sniffio (from versions: none)
"""


@pytest.fixture(autouse=True)
def _forget() -> None:
    pip.check.cache_clear()


def answer(monkeypatch: pytest.MonkeyPatch, text: str, status: int = 1) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, status, "", text)

    monkeypatch.setattr(pip.subprocess, "run", run)
    return asked


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CONFLICT, "The user requested numpy==1.20.0; pandas 2.2.3 depends on numpy>=1.23.2"),
        (MISSING, r"sniffio==99.9 \(from versions: 1.3.0, 1.3.1\)"),
        (
            MISSING.replace("1.3.0,", f"{MANY},"),
            r"sniffio==99.9 \(from versions: \.\.\., 0.93, 0.94, .*, 0.99, 1.3.1\)",
        ),
        ("ERROR: Invalid requirement: 'a=1': Expected end\n", "Invalid requirement: 'a=1'"),
    ],
)
def test_what_cannot_be_installed_is_refused_in_the_solvers_words(
    monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    answer(monkeypatch, text)
    with pytest.raises(PackagesRefused, match=words) as failure:
        pip.wanted(["pandas==2.2.3", "numpy==1.20.0"])
    assert failure.value.reason == "EnvironmentFailed"


def test_rays_report_of_a_failed_installation_is_told_in_the_solvers_words() -> None:
    message = f"RuntimeEnvSetupError: Failed to set up the environment.\n{MISSING}\nIt is the 3rd time.\n"
    job = Job("e", JobState.FAILED, error_type=RUNTIME_ENV_FAILURE, message=message)
    step = decide(Desired("Running", "e", max_retries=2), Observed({"e": job}))
    assert isinstance(step, Observe)
    assert step.reason == "EnvironmentFailed"
    assert step.message.startswith("pip finds no versions that fit: sniffio==99.9 (from versions: 1.3.0")


def test_what_cannot_be_told_now_passes_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, OFFLINE)
    pip.wanted(["b", "a"])
    pip.wanted(["a", "b"])
    assert [command[-3:] for command in asked] == [["--", "a", "b"]]

    def slow(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(pip.subprocess, "run", slow)
    pip.wanted(["c"])
