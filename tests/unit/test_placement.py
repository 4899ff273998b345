"""Which cluster takes an experiment that names none."""

from __future__ import annotations

from typing import Any

import pytest

from submarine_ray.admission.placement import Candidate, choose, shortage
from submarine_ray.spec.clusters import Placement
from submarine_ray.spec.quantities import GIB, Resources


def of(cpu: float = 0, memory: int = 0, gpu: float = 0) -> Resources:
    return Resources(cpu, memory, gpu)


def one(name: str, used: float = 0, **values: Any) -> Candidate:
    known = {"healthy": True, "total": of(8, 8 * GIB, 2), "largest_node": of(4, 4 * GIB, 1), "used": of(used)}
    return Candidate(name, **(known | values))


def chosen(*candidates: Candidate, policy: Any = "first", replicas: int = 1, each: Resources = of(1)) -> str | None:  # noqa: B008
    wanted = Placement(policy=policy)
    return choose(candidates, wanted, [each] * replicas, each.times(replicas)).name


def test_the_first_by_name_or_the_least_loaded() -> None:
    candidates = one("c", used=0), one("b", used=2), one("a", used=4)
    assert chosen(*candidates) == "a"
    assert chosen(*candidates, policy="leastLoaded") == "c"
    assert chosen(one("b"), one("a"), policy="leastLoaded") == "a"


def test_the_healthy_before_those_with_room_before_the_policy() -> None:
    full, sick, well = one("a", used=8), one("b", healthy=False), one("c", used=7)
    assert chosen(sick, well) == "c" and chosen(full, well) == "c"
    assert chosen(sick, full) == "a" and chosen(one("x", healthy=None), full) == "a"
    assert chosen(one("a", used=7), one("b", used=6), replicas=2) == "b"  # what is used and what is asked, together
    assert chosen(one("a", used=8), one("b", total=None, largest_node=None, used=of(99))) == "b"


def test_the_load_is_the_larger_of_the_shares() -> None:
    assert one("a", used=2).load() == 0.25
    assert Candidate("a", total=of(8, 0, 2), used=of(2, 0, 1)).load() == 0.5
    assert Candidate("a", total=of(8, 0, 2), used=of(6, 0, 1)).load() == 0.75
    assert Candidate("a", total=of(8), used=of(2)).load() == 0.25
    assert Candidate("a", used=of(2)).load() == 0 and Candidate("a", total=of()).load() == 0


@pytest.mark.parametrize(
    ("candidate", "wanted", "each", "replicas", "why"),
    [
        (one("a", why="it is away"), {}, of(1), 1, "it is away"),
        (one("a", labels={"zone": "b"}), {"labels": {"zone": "a"}}, of(1), 1, "its label zone is 'b', not 'a'"),
        (one("a", gpu_type="T4"), {"gpuType": "A100"}, of(1), 1, "its GPUs are T4, not A100"),
        (one("a"), {"gpuType": "A100"}, of(1), 1, "its GPUs are of no known type, not A100"),
        (one("a"), {}, of(5), 1, "a replica needs 5 CPUs where there are 4 on one node"),
        (one("a"), {}, of(3), 3, "all replicas together need 9 CPUs where there are 8"),
        (one("a"), {}, of(1, 0, 2), 1, "a replica needs 2 GPUs where there are 1 on one node"),
    ],
)
def test_why_a_cluster_can_never_be(
    candidate: Candidate, wanted: dict[str, Any], each: Resources, replicas: int, why: str
) -> None:
    choice = choose([candidate], Placement(**wanted), [each] * replicas, each.times(replicas))
    assert choice.name is None and choice.refusals == {"a": why}


def test_what_is_asked_for_and_there_is_no_refusal() -> None:
    fits = one("a", labels={"zone": "a", "other": "b"}, gpu_type="a100")
    wanted = Placement(labels={"zone": "a"}, gpuType="A100")  # type: ignore[call-arg]
    exact = of(4, 4 * GIB, 1)
    assert choose([fits, one("b")], wanted, [exact, exact], exact.times(2)).name == "a"


def test_the_first_thing_that_is_short_is_named() -> None:
    assert shortage(of(9, 9, 9), of(1, 1, 1)) == "9 GPUs where there are 1"
    assert shortage(of(9, 9, 1), of(1, 1, 1)) == "9 CPUs where there are 1"
    assert shortage(of(1, 9, 1), of(1, 1, 1)) == "9 bytes of memory where there are 1"
