"""A sweep's metrics: a curve a trial, of as many of the best as are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from submarine_ray.spec.answers.experiments import Trial
from submarine_ray.workbench import addresses, metrics, parts
from submarine_ray.workbench.services import Services

DRAWN = {10: "The best 10", 25: "The best 25", 100: "The best 100"}
LABEL = 48  # characters of a curve's name


async def draw(services: Services, experiment_id: str, attempt: int | None) -> parts.Refresh:
    """Draw the charts; answers what brings them up to date."""
    results = services.experiments.results
    chosen = [min(DRAWN)]

    def runs() -> dict[str, str]:
        """The best trials' first, then what the sweep has logged itself."""
        trials, _ = results.trials(experiment_id, attempt)
        return named(trials[: chosen[0]]) | results.runs(experiment_id, attempt)

    def pages() -> dict[str, str]:
        trials, _ = results.trials(experiment_id, attempt)
        return {one.run_id: addresses.trial(experiment_id, one.trial_id, attempt) for one in trials[: chosen[0]]}

    async def choose(event: ValueChangeEventArguments[int]) -> None:
        chosen[0] = event.value
        await refresh()

    with parts.row():
        parts.text(
            "Each trial is a curve, which a click opens. The thick one is the best trial's.", classes="quiet small grow"
        )
        ui.select(DRAWN, value=chosen[0], label="Trials", on_change=choose).props("dense outlined options-dense")
    refresh = await metrics.draw(services, runs, is_ranked=True, pages=pages)
    return refresh


def named(trials: Sequence[Trial]) -> dict[str, str]:
    """What each trial's curve is called: its number and its parameters."""
    return {one.run_id: label(one) for one in trials}


def label(trial: Trial) -> str:
    """A trial's number and parameters: `#12 lr=0.1, width=64`."""
    params = ", ".join(f"{name}={parts.short(value)}" for name, value in trial.params.items())
    said = f"#{trial.number} {params}".strip()
    return said if len(said) <= LABEL else f"{said[: LABEL - 1]}…"
