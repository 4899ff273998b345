"""Where an experiment goes, and what is refused at once because it can never run there."""

from __future__ import annotations

from collections.abc import Callable

from submarine_ray.admission.placement import Candidate, choose, shortage
from submarine_ray.clusters.service import ClusterService, LastSeen
from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.quantities import Resources

# All that a cluster has, and its largest node; None where there is no bound, or none is known.

# Of a sweep that does not say how many may run at once, where room is made for what is asked.
UNBOUNDED_TRIALS = 8


class Placements:
    """Goes by what was last seen of clusters: it works with all of them down."""

    def __init__(self, clusters: ClusterService, in_use: Callable[[str], Resources]) -> None:
        self._clusters = clusters
        self._in_use = in_use

    def place(self, spec: ExperimentSpec) -> str:
        """The cluster of an experiment: the one it names, or the one its placement finds. Raises InvalidSpec."""
        if spec.placement is None:
            return spec.cluster or self._clusters.default
        candidates = [self._candidate(one) for one in self._clusters.all_seen()]
        replicas = [task.quantities for task in spec.spec.values()]
        choice = choose(candidates, spec.placement, replicas, spec.demand)
        if choice.name is None:
            reasons = "; ".join(f"{name}: {why}" for name, why in choice.refusals.items())
            raise InvalidSpec(f"no cluster can ever run it ({reasons})", "placement")
        return choice.name

    def check_one(self, name: str, demand: Resources, field: str) -> None:
        """Refuse at once a process that no node of the cluster can ever hold. Raises InvalidSpec."""
        _check_node(self._clusters.seen(name), demand, field, "; ask for less, or choose another cluster")

    def seen(self, name: str) -> LastSeen:
        """A cluster as it was last seen. Raises InvalidSpec."""
        return self._clusters.seen(name)

    def check_demand(self, seen: LastSeen, spec: ExperimentSpec) -> None:
        """Refuse at once what the cluster can never run. Raises InvalidSpec; an unseen cluster is given the benefit."""
        if spec.queue:
            return
        hint = "; ask for less, choose another cluster, or set queue: true to wait for the cluster to grow"
        for role, task in spec.spec.items():
            _check_node(seen, task.quantities, f"spec.{role}.resources", hint)
        if seen.total is not None and not spec.demand.fits(seen.total):
            lacks = shortage(spec.demand, seen.total)
            raise InvalidSpec(f"all replicas together need {lacks} in the whole of cluster {seen.name!r}{hint}", "spec")

    def most_trials(self, seen: LastSeen, spec: ExperimentSpec) -> int:
        """How many of a sweep's trials may run together if there is room; 1 of what is no sweep."""
        if spec.tune is None:
            return 1
        unsaid = UNBOUNDED_TRIALS if seen.capabilities.makes_room else spec.tune.trials
        return min(spec.tune.max_concurrent_trials or unsaid, spec.tune.trials)

    def _candidate(self, seen: LastSeen) -> Candidate:
        return Candidate(
            name=seen.name,
            healthy=seen.healthy,
            labels=seen.labels,
            gpu_type=seen.gpu_type,
            total=seen.total,
            largest_node=seen.largest_node,
            used=self._in_use(seen.name),
            why="it is not running" if seen.capabilities.is_here and not seen.healthy else None,
        )


def _check_node(seen: LastSeen, demand: Resources, field: str, hint: str) -> None:
    node = seen.largest_node
    if node is not None and not demand.fits(node):
        raise InvalidSpec(
            f"{shortage(demand, node)} on one node, and no node of cluster {seen.name!r} has that{hint}", field
        )
