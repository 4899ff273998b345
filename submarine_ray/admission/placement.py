"""Which cluster takes an experiment that names none: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from submarine_ray.spec.clusters import Placement
from submarine_ray.spec.quantities import Resources


@dataclass(frozen=True)
class Candidate:
    """A cluster as it was last seen; `total` and `largest_node` are None where no bound is known."""

    name: str
    healthy: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    gpu_type: str | None = None
    total: Resources | None = None
    largest_node: Resources | None = None
    used: Resources = field(default_factory=Resources)
    why: str | None = None

    def load(self) -> float:
        """The larger of the shares of CPUs and GPUs that are taken; nothing where there is no bound."""
        if self.total is None:
            return 0.0
        shares = [(self.used.cpu, self.total.cpu), (self.used.gpu, self.total.gpu)]
        return max((used / total for used, total in shares if total), default=0.0)


@dataclass(frozen=True)
class Choice:
    """The chosen cluster, or for each why it can never be."""

    name: str | None
    refusals: Mapping[str, str] = field(default_factory=dict)


def choose(
    candidates: Sequence[Candidate], wanted: Placement, replicas: Sequence[Resources], demand: Resources
) -> Choice:
    """The best cluster for an experiment of these replicas, which ask for `demand` together.

    Among those that can ever run it: the healthy before the others, those with room now before the full, and then by
    the policy.
    """
    refusals = {one.name: why for one in candidates if (why := _refusal(one, wanted, replicas, demand))}
    able = [one for one in candidates if one.name not in refusals]
    if not able:
        return Choice(None, refusals)

    def rank(one: Candidate) -> tuple[bool, bool, float, str]:
        has_room = one.total is None or (one.used + demand).fits(one.total)
        return one.healthy is not True, not has_room, one.load() if wanted.policy == "leastLoaded" else 0.0, one.name

    return Choice(min(able, key=rank).name)


def shortage(asked: Resources, has: Resources) -> str:
    """What is missing, for a sentence: "4 GPUs where there are 2"."""
    if asked.gpu > has.gpu:
        return f"{asked.gpu:g} GPUs where there are {has.gpu:g}"
    if asked.cpu > has.cpu:
        return f"{asked.cpu:g} CPUs where there are {has.cpu:g}"
    return f"{asked.memory} bytes of memory where there are {has.memory}"


def _refusal(one: Candidate, wanted: Placement, replicas: Sequence[Resources], demand: Resources) -> str | None:
    """Why the cluster can never run it."""
    if one.why:
        return one.why
    for key, value in wanted.labels.items():
        if one.labels.get(key) != value:
            return f"its label {key} is {one.labels.get(key)!r}, not {value!r}"
    if wanted.gpu_type and (one.gpu_type or "").lower() != wanted.gpu_type.lower():
        return f"its GPUs are {one.gpu_type or 'of no known type'}, not {wanted.gpu_type}"
    if one.largest_node is not None:
        for replica in replicas:
            if not replica.fits(one.largest_node):
                return f"a replica needs {shortage(replica, one.largest_node)} on one node"
    if one.total is not None and not demand.fits(one.total):
        return f"all replicas together need {shortage(demand, one.total)}"
    return None
