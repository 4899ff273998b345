"""The form that adds samples to a sweep."""

from __future__ import annotations

from submarine_ray.spec.tune import ExtensionSpec
from submarine_ray.workbench import dialogs, parts
from submarine_ray.workbench.problems import parsed
from submarine_ray.workbench.services import Services

USUAL = 10


async def extend(services: Services, experiment_id: str) -> bool:
    """Ask how many, and extend the sweep; whether that was done."""
    with dialogs.dialog("Extend this sweep") as dialog:
        parts.text(
            "Adds samples to the search. A sweep that runs tries them too; one that has ended goes on where it was, "
            "with the trials that it has.",
            "p",
            "quiet",
        )
        number = parts.number("Samples to add", USUAL).props("outlined dense autofocus")

        async def send() -> None:
            spec = parsed(ExtensionSpec, {"samples": number.value}, number)
            if spec and (done := await parts.attempt(services.experiments.sweeps.extend, experiment_id, spec.samples)):
                dialog.submit(done.value)

        extended = await dialogs.submitted(dialog, "Extend", send)
    if extended is None:
        return False
    parts.tell(f"Extended to {extended.spec.tune.num_samples} samples")
    return True
