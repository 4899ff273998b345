"""A service does not start with a token that keeps nobody out, and says what to do instead."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from submarine_ray.cli import platform
from submarine_ray.cli.local_ray import StartFailed
from submarine_ray.core.settings import Settings, explained
from submarine_ray.spec.home import Home
from submarine_ray.spec.strength import weakness

WEAK = [
    ("", "is empty"),
    ("   \n", "is empty"),
    ("t0ken", "has 5 characters, fewer than 16"),
    ("fifteen-letters", "has 15 characters, fewer than 16"),
    ("one two three four five", "holds blanks"),
    ("pässwörter-gehen-nicht", "holds blanks or other characters"),
    ("changeme-changeme-changeme", "others guess first"),
    ("CHANGE-ME-CHANGE-ME", "others guess first"),
    ("your-secret-token-here", "others guess first"),
    ("submarine-admin-token-1234", "others guess first"),
    ("a" * 64, "others guess first"),
    ("sra_4f1c9b7e2d8a6035c4e1f7a9", "begins with sra_"),
    ("abababababababababab", "others guess first"),
    ("0123456789abcdef", "others guess first"),
    ("9876543210987654321", "others guess first"),
    ("qwertyuiopasdfghjkl", "others guess first"),
    ("deadbeefdeadbeefdeadbeef", "others guess first"),
    ("hunter2hunter2hunter2", "others guess first"),
]


@pytest.mark.parametrize(("token", "why"), WEAK)
def test_a_weak_token_is_refused_with_what_to_do(token: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(token=token)  # type: ignore[arg-type]
    said = explained(caught.value)
    assert why in said and "openssl rand -hex 32" in said
    assert not token.strip() or token not in said


def test_random_tokens_are_taken() -> None:
    for make in (secrets.token_hex, secrets.token_urlsafe):
        assert [token for token in (make(n) for n in (12, 16, 32, 64) for _ in range(500)) if weakness(token)] == []
    assert Settings(token="4f1c9b7e2d8a6035c4e1\n").token.get_secret_value()[-1] == "1"  # type: ignore[arg-type, union-attr]


def test_the_service_says_it_in_a_line_and_up_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, "SUBMARINE_HOME": str(tmp_path), "SUBMARINE_TOKEN": "", "SUBMARINE_HOST": "0.0.0.0"}
    command = [sys.executable, "-m", "submarine_ray.app"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == (
        "The control service cannot start: SUBMARINE_TOKEN is empty; make one with: openssl rand -hex 32\n"
    )
    monkeypatch.setenv("SUBMARINE_TOKEN", "changeme")
    with pytest.raises(StartFailed, match="SUBMARINE_TOKEN has 8 characters"):
        platform.up(Home(tmp_path))
