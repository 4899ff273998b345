"""Who holds what one waits for, and which endpoints are replaced in place."""

from __future__ import annotations

from typing import Any

import pytest

from submarine_ray.admission.explain import GIB, Holder, lack
from submarine_ray.serving import applications, room
from submarine_ray.spec.quantities import Resources

RESNET = Holder("endpoint resnet 1", Resources(gpu=0.7))
ONE_GPU = Resources(4, 8 * GIB, 1)


@pytest.mark.parametrize(
    ("demand", "holders", "said"),
    [
        (Resources(gpu=1), [RESNET], "needs 1 GPU; 0.3 of 1 free; held by endpoint resnet 1 (0.7)"),
        (Resources(gpu=0.3), [RESNET], None),
        (Resources(gpu=2), [RESNET], "needs 2 GPUs; the cluster has 1"),
        (
            Resources(3, 4 * GIB, 1),
            [RESNET, Holder("notebook team/n", Resources(2, 6 * GIB))],
            "needs 1 GPU; 0.3 of 1 free; held by endpoint resnet 1 (0.7); "
            "needs 3 CPUs; 2 of 4 free; held by notebook team/n (2); "
            "needs 4 GiB of memory; 2 of 8 free; held by notebook team/n (6)",
        ),
        (
            Resources(1),
            [Holder(f"experiment {n}", Resources(0.1 * n)) for n in range(1, 9)],
            "needs 1 CPU; 0.4 of 4 free; held by experiment 8 (0.8), experiment 7 (0.7), experiment 6 (0.6), "
            "experiment 5 (0.5), 4 more (1)",
        ),
    ],
)
def test_what_is_missing_and_who_has_it(demand: Resources, holders: list[Holder], said: str | None) -> None:
    assert lack(demand, ONE_GPU, holders) == said


def config(gpu: float, replicas: int = 1, version_uri: str = "uri", memory: int = 0) -> dict[str, Any]:
    endpoint = applications.Desired("m-1", "m", 1, version_uri, replicas, 0.0, gpu, memory)
    return applications.configuration([endpoint], [], "http://tracking", {})


def deployed(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Serve's status document once `document` is deployed."""
    (application,) = document["applications"]
    return {"applications": {"m-1": {"deployed_app_config": application, **more}}}


@pytest.mark.parametrize(
    ("before", "after", "held", "surge"),
    [
        (config(1), config(1, version_uri="other"), 1, 0),  # the whole GPU is its own
        (config(1), config(0.5), 0.5, 0),  # the books know the new size alone; the old one is still there
        (config(0.4), config(0.5), 0.5, 100),
        (config(0.4), config(0.5), 0.8, 0),  # somebody else has 0.3
        (config(0), config(0, version_uri="other"), 1, 100),
        (config(0.25, 4), config(0.25, 4, "other"), 1, 0),
    ],
)
def test_an_endpoint_without_room_for_another_replica_is_replaced_in_place(
    before: dict[str, Any], after: dict[str, Any], held: float, surge: int
) -> None:
    cramped = room.arrange(after, deployed(before), ONE_GPU, Resources(gpu=held))
    assert after["applications"][0]["deployments"][0]["max_surge_percent"] == surge
    assert [one.name for one in cramped] == ([] if surge else ["m-1"])
    assert all("The old replica ends first" in one.message for one in cramped)


def test_an_endpoint_that_is_not_there_yet_keeps_no_other_from_being_replaced_in_place() -> None:
    before, after = config(1), config(1, version_uri="other")
    after["applications"].insert(0, after["applications"][0] | {"name": "new"})
    (cramped,) = room.arrange(after, deployed(before), ONE_GPU, Resources(gpu=2))
    assert cramped.name == "m-1" and "another replica needs 1 GPU" in cramped.message
    assert "and 0 of 1 is free" in cramped.message  # more is held than there is: not -1


def test_a_deployment_that_names_no_number_has_one_replica() -> None:
    before, after = config(0.4), config(0.5)
    del before["applications"][0]["deployments"][0]["num_replicas"]
    assert room.arrange(after, deployed(before), ONE_GPU, Resources(gpu=0.5)) == []


def test_memory_may_be_what_there_is_no_room_for() -> None:
    before, after = config(0, memory=3 * GIB), config(0, memory=6 * GIB)
    (cramped,) = room.arrange(after, deployed(before), ONE_GPU, Resources(memory=6 * GIB))
    assert "another replica needs 6 GiB of memory, and 5 of 8 is free" in cramped.message
    assert room.arrange(config(0, memory=4 * GIB), deployed(before), ONE_GPU, Resources(memory=4 * GIB)) == []


def test_what_does_not_change_keeps_its_way() -> None:
    """Another application's change must not touch it, or each change of the room would be one of its configuration."""
    before, after = config(1), config(1)
    before["applications"][0]["deployments"][0]["max_surge_percent"] = 0
    assert room.arrange(after, deployed(before), ONE_GPU, Resources()) == [] and after == before
    assert room.arrange(config(1), {"applications": {}}, ONE_GPU, Resources(gpu=1)) == []
    assert room.arrange(config(1, version_uri="other"), deployed(config(1)), None, Resources(gpu=1)) == []


def test_a_replica_that_waits_for_its_predecessors_room_is_seen() -> None:
    message = "Deployment 'model' has 1 replicas that have taken more than 30s to be scheduled."
    states = [{"state": "RUNNING"}, {"state": "STARTING"}]
    serve = deployed(config(1), deployments={"model": {"message": message, "replicas": states, "status": "UPDATING"}})
    assert room.stuck(serve) == ["m-1"]
    again = config(1)
    (one,) = room.in_place(again, serve, ["m-1"])
    assert again["applications"][0]["deployments"][0]["max_surge_percent"] == 0 and "no room" in one.message
    assert room.stuck(deployed(again, deployments=serve["applications"]["m-1"]["deployments"])) == []
    first = deployed(
        config(1), deployments={"model": {"message": message, "replicas": states[1:], "status": "UPDATING"}}
    )
    assert room.stuck(first) == []  # nobody's predecessor: it waits like others
    grows = deployed(
        config(1, 2), deployments={"model": {"message": message, "replicas": states, "status": "UPSCALING"}}
    )
    assert room.stuck(grows) == []


def test_what_says_nothing_of_its_surge_has_serves_own() -> None:
    def surge(document: dict[str, Any]) -> Any:
        return document["applications"][0]["deployments"][0].get("max_surge_percent")

    before, same, other = config(1), config(1), config(1)
    for document in (before, same, other):
        document["applications"][0]["deployments"][0].pop("max_surge_percent", None)
    serve = deployed(before)
    assert room.arrange(same, serve, ONE_GPU, Resources(gpu=1)) == [] and surge(same) == 100
    assert room.in_place(other, serve, []) == [] and surge(other) == 100


def test_the_one_replica_of_a_deployment_that_names_no_number_holds_what_it_has() -> None:
    before = config(1)
    del before["applications"][0]["deployments"][0]["num_replicas"]
    (cramped,) = room.arrange(config(0.5), deployed(before), ONE_GPU, Resources(gpu=0.5))
    assert "another replica needs 0.5 GPU, and 0 of 1 is free" in cramped.message


@pytest.mark.parametrize("field", ["import_path", "args"])
@pytest.mark.parametrize("older", [" ", "~"])
def test_other_code_or_other_arguments_are_a_change(field: str, older: str) -> None:
    before, after = config(1), config(1)
    before["applications"][0][field] = older
    (cramped,) = room.arrange(after, deployed(before), ONE_GPU, Resources(gpu=1))
    assert cramped.name == "m-1"


@pytest.mark.parametrize("state", ["STARTING", "STOPPING", "RECOVERING"])
def test_only_a_replica_that_runs_holds_the_room_of_its_successor(state: str) -> None:
    message = "Deployment 'model' has 1 replicas that have taken more than 30s to be scheduled."
    model = {"message": message, "replicas": [{"state": state}], "status": "UPDATING"}
    assert room.stuck(deployed(config(1), deployments={"model": model})) == []
    assert room.stuck(deployed(config(1), deployments={"model": model | {"replicas": [{"state": "RUNNING"}]}})) == [
        "m-1"
    ]
