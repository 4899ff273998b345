"""Who holds what of a cluster, in the words of one who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from submarine_ray.admission.decide import MAX_OVERTAKEN, Demand
from submarine_ray.spec.quantities import GIB, Resources

NAMED = 4


@dataclass(frozen=True)
class Holder:
    """Somebody's job, as users know it ("endpoint resnet 1"), and what it holds.

    `id` is how admission knows it. `ends`: by itself, some time. `starting`: it has been let start, and does not run.
    """

    name: str
    resources: Resources
    id: str = ""
    ends: bool = False
    starting: bool = False

    @classmethod
    def of(cls, demand: Demand, starting: bool = False) -> Holder:
        """One that holds all it asked for."""
        return cls(demand.name, demand.unit.times(demand.units), demand.id, demand.ends, starting)


# What is counted, how to read it off, and its names for one and for several.
_KINDS: tuple[tuple[Callable[[Resources], float], str, str], ...] = (
    (lambda one: one.gpu, "GPU", "GPUs"),
    (lambda one: one.cpu, "CPU", "CPUs"),
    (lambda one: one.memory / GIB, "GiB of memory", "GiB of memory"),
)


def lack(demand: Resources, total: Resources, holders: Sequence[Holder]) -> str | None:
    """What `demand` lacks of a cluster, and who has it: "needs 1 GPU; 0.3 of 1 free; held by endpoint resnet 1 (0.7)".

    None if there is room for it.
    """
    found = [_of_kind(size, name, demand, total, holders) for size, *name in _KINDS]
    return "; ".join(filter(None, found)) or None


def _of_kind(
    size: Callable[[Resources], float], names: list[str], demand: Resources, total: Resources, holders: Sequence[Holder]
) -> str | None:
    asked, there = size(demand), size(total)
    free = there - sum(size(one.resources) for one in holders)
    if asked <= free + 1e-6:
        return None
    said = f"needs {_short(asked)} {names[0] if asked <= 1 else names[1]}"
    if asked > there + 1e-6:
        return f"{said}; the cluster has {_short(there)}"
    having = sorted((one for one in holders if size(one.resources) > 0), key=lambda one: -size(one.resources))
    told = [f"{one.name} ({_short(size(one.resources))})" for one in having[:NAMED]]
    if more := having[NAMED:]:
        told.append(f"{len(more)} more ({_short(sum(size(one.resources) for one in more))})")
    return f"{said}; {_short(max(0.0, free))} of {_short(there)} free; held by {', '.join(told)}"


def _short(number: float) -> str:
    return f"{round(number, 2):g}"


def line(kept_for: Sequence[str], slots: int) -> str:
    """Why one waits for which there is room."""
    if kept_for:
        names = ", ".join(kept_for[:NAMED])
        return f"room is kept for {names}, which later ones have overtaken {MAX_OVERTAKEN} times"
    return "others are starting at this moment" if slots <= 0 else "others are before it"
