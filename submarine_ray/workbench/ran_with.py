"""The code and the software that an attempt ran with, on its experiment's page."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from submarine_ray.spec.answers.provenance import GitState, Provenance
from submarine_ray.workbench import parts


def draw(ran: Provenance) -> None:
    """Nothing, if the attempt has not told what it runs with."""
    if ran.git is None and ran.python is None:
        return
    with parts.card("Code and environment"):
        parts.facts([*_git_facts(ran.git), ("Python", ran.python), ("Platform", ran.platform)])
        if ran.packages:
            with ui.expansion(parts.counted(len(ran.packages), "package")).props("dense"):
                requirements = "\n".join(f"{name}=={version}" for name, version in ran.packages.items())
                parts.copy_button(requirements, "Copy as requirements.txt")
                parts.block(requirements, "Packages")


def _git_facts(git: GitState | None) -> list[tuple[str, str | Callable[[], object] | None]]:
    if git is None:
        return []
    dirty = {True: "Yes, so the code differs from the commit", False: "No", None: None}
    return [
        ("Commit", lambda: _draw_commit(git.commit)),
        ("Branch", git.branch),
        ("Uncommitted changes", dirty[git.dirty]),
        ("Repository", git.repository),
    ]


def _draw_commit(commit: str) -> None:
    with parts.row():
        parts.text(commit[:12], "code")
        parts.copy_button(commit, "Copy commit")
