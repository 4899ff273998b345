"""Where a version comes from and where it went, on its page."""

from __future__ import annotations

from functools import partial

from submarine_ray.spec.answers.models import DatasetInput, ModelLineage
from submarine_ray.workbench import addresses, parts

USERS = 20  # experiments that are shown


def draw(found: ModelLineage) -> None:
    """The card."""
    ran = found.ran
    git = ran.git if ran else None
    with parts.card("Lineage"):
        parts.facts(
            [
                ("Experiment", partial(_draw_experiment, found) if found.experiment_id else "Unknown"),
                ("Commit", partial(_draw_commit, git.commit, git.dirty) if git else None),
                ("Branch", git.branch if git else None),
                ("Repository", git.repository if git else None),
                ("Python", ran.python if ran else None),
                ("Packages", parts.counted(len(ran.packages), "package") if ran and ran.packages else None),
                ("Datasets", partial(_draw_datasets, found.datasets) if found.datasets else None),
                ("MLflow run", partial(_draw_run, found.run_id) if found.run_id else None),
                ("Served by", found.endpoint),
                ("Used by", partial(_draw_users, found.used_by) if found.used_by else None),
            ]
        )
        if found.experiment_id and ran is None:
            parts.text("The experiment was deleted; its code and environment are no longer known.", "p", "quiet")


def _draw_experiment(found: ModelLineage) -> None:
    id = found.experiment_id or ""
    with parts.row():
        parts.link(id, addresses.experiment(id))
        if found.trial_id:
            parts.link(f"trial {found.trial_id}", addresses.trial(id, found.trial_id))


def _draw_commit(commit: str, dirty: bool | None) -> None:
    with parts.row():
        parts.text(commit[:12], "code")
        parts.copy_button(commit, "Copy commit")
        if dirty:
            parts.text("with uncommitted changes", classes="wait")


def _draw_run(run_id: str) -> None:
    parts.link(run_id, f"/mlflow/#/runs/{run_id}", new_tab=True, classes="mono anywhere")


def _draw_datasets(datasets: list[DatasetInput]) -> None:
    for one in datasets:
        context = f", {one.context}" if one.context else ""
        made = parts.text(f"{one.name} ({one.source_type}{context})", "div", "anywhere")
        made._props["title"] = f"Digest {one.digest}; source: {one.source}"


def _draw_users(experiments: list[str]) -> None:
    for id in experiments[:USERS]:
        parts.link(id, addresses.experiment(id)).style("display: block")
    if len(experiments) > USERS:
        parts.text(f"and {len(experiments) - USERS} more", classes="quiet")
