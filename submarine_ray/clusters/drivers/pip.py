"""Checks that pip can resolve an environment's packages before a cluster on this machine installs them.

Ray copies the whole environment first and tries three times: an impossible pin took minutes, and could not be stopped.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

from submarine_ray.clusters.drivers.base import PackagesRefused
from submarine_ray.core import children

VERSIONS_TOLD = 8
PATIENCE_SECONDS = 50  # what takes longer is left to Ray
_CONFLICT = re.compile(r"The conflict is caused by:\n((?: {4}.+\n)+)")
_NO_VERSION = re.compile(r"ERROR: Could not find a version that satisfies the requirement (.+)")
_INVALID = re.compile(r"ERROR: (Invalid requirement: .+)")


@lru_cache(maxsize=256)
def check(requirements: tuple[str, ...]) -> None:
    """Raises PackagesRefused, in the solver's words, if no versions fit; what cannot be told now passes."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-input", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "--", *requirements],
            capture_output=True,
            text=True,
            errors="replace",
            env=children.environment(),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode != 0 and (words := said(f"{done.stdout}\n{done.stderr}")):
        raise PackagesRefused(f"pip finds no versions that fit: {words}")


def said(text: str) -> str | None:
    """Why pip's solver found nothing, from its output; None if something else went wrong, such as the network."""
    if found := _CONFLICT.search(text):
        return "; ".join(line.strip() for line in found[1].splitlines())
    if found := _NO_VERSION.search(text):
        # Without any versions to choose from, the index may not have been there.
        return None if "from versions: none" in found[0] and _is_offline(text) else _shortened(found[1])[:1000]
    found = _INVALID.search(text)
    return found[1] if found else None


def _shortened(words: str) -> str:
    """Of hundreds of versions the newest are told, which come last."""
    requirement, marker, versions = words.partition("(from versions: ")
    listed = versions.split(", ")
    if len(listed) > VERSIONS_TOLD:
        listed = ["...", *listed[-VERSIONS_TOLD:]]
    return f"{requirement}{marker}{', '.join(listed)}"


def _is_offline(text: str) -> bool:
    return "Retrying" in text or "connection" in text.lower()


def wanted(requirements: Sequence[str]) -> None:
    """`check`, for requirements in any order."""
    check(tuple(sorted(requirements)))
