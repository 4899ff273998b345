"""Templates as pages offer them: what runs as it stands comes first, and each says how long it takes."""

from __future__ import annotations

from collections.abc import Iterable

from nicegui import ui

from submarine_ray.spec.answers.templates import StoredTemplate
from submarine_ray.workbench import parts

# Of the library: one process, one CPU, seconds, and scikit-learn is wherever this platform is.
BEGIN_WITH = "sklearn-tabular"


def in_order(found: Iterable[StoredTemplate]) -> list[StoredTemplate]:
    """First the one to begin with, then those that run as they stand, then sweeps, then those that want values; among
    these users' own come before the library's.
    """
    return sorted(found, key=lambda one: (not is_first(one), _rank(one), one.read_only, one.name.lower()))


def is_first(spec: StoredTemplate) -> bool:
    """Whether a newcomer is to begin with it. A user's own template of that name may be anything."""
    return spec.name == BEGIN_WITH and spec.read_only


def is_ready(spec: StoredTemplate) -> bool:
    """Whether it runs without any value."""
    return all(parameter.required != "true" or parameter.value for parameter in spec.parameters)


def _rank(spec: StoredTemplate) -> int:
    return 2 if not is_ready(spec) else int(_is_sweep(spec))


def _is_sweep(spec: StoredTemplate) -> bool:
    return bool(spec.experiment_spec.get("tune"))


def duration(spec: StoredTemplate) -> str:
    """How long it takes, as far as that is known."""
    if spec.duration or not _is_sweep(spec):
        return spec.duration or ""
    return "many trials, so minutes or more"


def draw_costs(spec: StoredTemplate) -> None:
    """How long it takes and what it needs."""
    parts.facts([("Takes", duration(spec)), ("Needs", spec.needs)])


def draw_chips(spec: StoredTemplate) -> None:
    meta = spec.experiment_spec.get("meta")
    framework = str(meta.get("framework") or "") if isinstance(meta, dict) else ""
    told = (
        ("start here", is_first(spec)),
        ("library", spec.read_only),
        ("sweep", _is_sweep(spec)),
        ("asks for values", not is_ready(spec)),
        (framework, bool(framework)),
    )
    with parts.row():
        for chip, is_so in told:
            if is_so:
                parts.text(chip, classes="chip")


def draw_details(spec: StoredTemplate) -> None:
    """All that is known before it runs."""
    parts.text(spec.description or "", "p", "quiet anywhere")
    with ui.element("div").classes("small"):
        draw_costs(spec)
