"""The commit that a directory's code is of, for the record of an experiment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from submarine_ray.spec.json_types import JsonObject

GIT_SECONDS = 5.0  # a slow disk, or a repository of millions of files: then the record does without


def read(directory: Path) -> JsonObject | None:
    """The `code.source` of a spec; None if the directory is in no Git repository, or Git does not answer in time."""
    # One call for the commit, the branch, and whether files below the directory differ from the commit.
    status = _git(directory, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".")
    if status is None:
        return None
    said = dict(line[2:].split(" ", 1) for line in status if line.startswith("# branch.") and " " in line[2:])
    commit, branch = said.get("branch.oid", ""), said.get("branch.head", "")
    if not commit or commit == "(initial)":
        return None
    found: JsonObject = {"commit": commit, "dirty": any(not line.startswith("#") for line in status)}
    if branch != "(detached)":
        found["branch"] = branch
    if remote := _git(directory, "remote", "get-url", "origin"):
        found["repository"] = remote[0]
    return found


def _git(directory: Path, *arguments: str) -> list[str] | None:
    """The lines of an answer of Git's; None without one."""
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = call(directory, arguments, env, GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def call(
    directory: Path, arguments: Sequence[str], env: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run Git in a directory. Raises FileNotFoundError if there is no Git, subprocess.TimeoutExpired."""
    return subprocess.run(
        ["git", "-C", str(directory), *arguments],
        env=dict(env),
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=seconds,
    )
