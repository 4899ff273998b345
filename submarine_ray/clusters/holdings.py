"""Who holds what of a cluster, in the words of one who waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from submarine_ray.spec.quantities import GIB, Resources

NAMED = 4
# Many may wait for the same, and each asks every few seconds.
MEMORY_SECONDS = 1.0


@dataclass(frozen=True)
class Holder:
    """Somebody's job, as users know it ("endpoint resnet 1"), and what it holds."""

    name: str
    resources: Resources


class Holdings:
    """The holders of each cluster, at most a second old."""

    def __init__(self, ask: Callable[[str], list[Holder]]) -> None:
        self._ask = ask
        self._known: dict[str, tuple[float, list[Holder]]] = {}

    def of(self, cluster: str) -> list[Holder]:
        asked, holders = self._known.get(cluster, (0.0, []))
        if time.monotonic() > asked + MEMORY_SECONDS:
            asked, holders = time.monotonic(), self._ask(cluster)
            self._known[cluster] = asked, holders
        return holders


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
