"""When an endpoint runs, and what Serve is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from submarine_ray.clusters.drivers.base import Fence
from submarine_ray.serving import applications, decide
from submarine_ray.serving.tables import EndpointRow, ServingRow, TrafficRow
from submarine_ray.spec.quantities import Resources

ROW = {"name": "m-1", "model_name": "m", "model_version": 1}

FAILED_3_TIMES = """The deployment failed to start 3 times in a row. See controller logs for details. Error:
ray::ServeReplica:m-1:model.initialize_and_get_metadata() (pid=1, ip=127.0.0.1)
RuntimeError: Traceback (most recent call last):
  File "serve_apps/model.py", line 140, in load
    raise CannotServe(what) from failure
serve_apps.errors.CannotServe: The model cannot be loaded: RuntimeError: the weights file is corrupt
"""


@pytest.mark.parametrize(
    ("before", "answers", "status"),
    [
        ("Creating", False, "Creating"),
        ("Creating", True, "Running"),
        ("Updating", False, "Updating"),
        ("Running", False, "Running"),  # it has answered; its health is Serve's business from there on
    ],
)
def test_an_endpoint_runs_once_it_answers(before: str, answers: bool, status: str) -> None:
    serve = {"applications": {"m-1": {"status": "RUNNING"}}}
    observed = decide.Observed(serve=serve, answering={"m-1"} if answers else ())
    found, message = decide.state(EndpointRow(**ROW, status=before), observed)
    assert found == status and (message is None) == (status == "Running")


@pytest.mark.parametrize(
    ("serve", "status", "message"),
    [
        ({"applications": {}}, "Creating", None),
        ({"status": "DEPLOYING", "message": "soon"}, "Creating", "soon"),
        ({"status": "RUNNING", "message": ""}, "Running", None),
        ({"status": "DEPLOY_FAILED", "message": "no such model"}, "Failed", "no such model"),
        ({"status": "UNHEALTHY", "deployments": {"model": {"message": "replica died"}}}, "Failed", "replica died"),
        (
            {"status": "UNHEALTHY", "message": "The deployments ['model'] are UNHEALTHY.", "deployments": {"model": {
                "message": "A replica's health check failed. This deployment will be UNHEALTHY until the replica recovers or a new deploy happens."}}},
            "Failed", "A replica has crashed or is broken, as its log says; another is started in its place.",
        ),
        (
            {"status": "DEPLOY_FAILED", "message": "Failed to update the deployments ['model'].", "deployments": {"model": {"message": FAILED_3_TIMES}}},
            "Failed", "The model cannot be loaded: RuntimeError: the weights file is corrupt",
        ),
    ],
)  # fmt: skip
def test_serves_states_in_our_words(serve: dict[str, Any], status: str, message: str | None) -> None:
    assert decide.shown("m-1", {"applications": {"m-1": serve}} if serve else {}) == (status, message)


@pytest.mark.parametrize(
    ("before", "serve", "states", "status", "message"),
    [
        ("Updating", "DEPLOYING", ["RUNNING"], "Updating", None),
        ("Updating", "RUNNING", ["RUNNING"], "Updating", "Replicas: 1 ready, 2 requested."),  # it has not begun
        ("Updating", "RUNNING", ["RUNNING", "STARTING"], "Updating", "Replicas: 1 ready, 2 requested."),
        ("Updating", "RUNNING", ["RUNNING", "RECOVERING"], "Updating", "Replicas: 1 ready, 2 requested."),
        ("Updating", "RUNNING", ["RUNNING"] * 3, "Updating", "Replicas: 3 ready, 2 requested."),
        ("Updating", "RUNNING", ["RUNNING", "RUNNING", "STOPPING"], "Running", None),
        ("Creating", "RUNNING", ["RUNNING"], "Creating", "Replicas: 1 ready, 2 requested."),
        ("Running", "RUNNING", ["RUNNING", "STARTING"], "Running", None),  # one that died is started again
        ("Updating", "DEPLOY_FAILED", ["RUNNING"], "Failed", None),
    ],
)
def test_a_changed_endpoint_runs_once_it_has_as_many_replicas_as_asked(
    before: str, serve: str, states: list[str], status: str, message: str | None
) -> None:
    replicas = [{"state": state} for state in states]
    found = {"m-1": {"status": serve, "deployments": {"model": {"replicas": replicas}}}}
    assert decide.shown("m-1", {"applications": found}, before, 2) == (status, message)


def test_a_replica_asks_ray_for_its_memory_and_one_without_is_as_before() -> None:
    config = applications.configuration(
        [applications.Desired("m-1", "m", 1, "/m", 1, 0.5, 0), applications.Desired("m-2", "m", 2, "/m", 1, 0.5, 1, 2**31)],
        [], "http://tracking", {},
    )  # fmt: skip
    assert [a["deployments"][0]["ray_actor_options"] for a in config["applications"]] == [
        {"num_cpus": 0.5, "num_gpus": 0}, {"num_cpus": 0.5, "num_gpus": 1, "memory": 2**31},
    ]  # fmt: skip


def test_all_of_a_clusters_endpoints_are_one_configuration() -> None:
    desired = [applications.Desired(f"m-{n}", "m", n, f"/models/{n}", n, 0.5, 0) for n in (1, 2)]
    split = applications.Split("m", {2: 10, 1: 90}, {1: "m-1", 2: "m-2"}, 0.25)
    config = applications.configuration(desired, [split], "http://tracking", {"host": "127.0.0.1", "port": 1})
    models, shared = config["applications"][:2], config["applications"][2]
    assert [(a["name"], a["route_prefix"], a["args"]["model_uri"]) for a in models] == [
        ("m-1", "/m/1", "/models/1"), ("m-2", "/m/2", "/models/2"),
    ]  # fmt: skip
    assert [a["deployments"][0]["num_replicas"] for a in models] == [1, 2]
    assert (shared["name"], shared["route_prefix"]) == ("traffic:m", "/m")
    assert shared["deployments"][0]["user_config"]["routes"] == [
        {"version": "1", "application": "m-1", "weight": 90}, {"version": "2", "application": "m-2", "weight": 10},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("replicas", "weights", "nodes", "least", "most"),
    [
        ((1, 1), (1, 1), 1, 1, 2),
        ((1, 1), (1, 1), 3, 2, 2),  # on two nodes: one's loss does not stop it
        ((8, 8), (1, 1), 3, 2, applications.MOST_SPLITTERS),
        ((1, 8), (1, 0), 3, 1, 1),  # a version without weight is asked nothing
        ((1, 8), (1, 1), 0, 1, applications.MOST_SPLITTERS),  # on a cluster whose nodes come when they are asked for
    ],
)
def test_the_splitter_has_replicas_by_what_it_fronts(
    replicas: tuple[int, int], weights: tuple[int, int], nodes: int, least: int, most: int
) -> None:
    rows = [
        EndpointRow(name=f"m-{n}", model_name="m", model_version=n, replicas=count, cpu=0.5)
        for n, count in enumerate(replicas, 1)
    ]
    other = EndpointRow(name="o-1", model_name="o", model_version=1, replicas=9, cpu=1.0)
    shared = json.dumps({str(n): weight for n, weight in enumerate(weights, 1)})
    split = applications.split_of(TrafficRow(model_name="m", weights=shared), [*rows, other], nodes)
    (application,) = applications.configuration([], [split], "", {})["applications"]
    (deployment,) = application["deployments"]
    scaling = deployment["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"], "num_replicas" in deployment) == (least, most, False)
    assert split.demand == Resources(cpu=most * applications.SPLITTER_CPU)


@pytest.mark.parametrize(
    ("names", "declared", "fence", "told"),
    [
        (["m-1"], ["m-1"], Fence(2, "d"), False),
        (["m-1"], ["m-1"], Fence(1, "d"), True),  # the same again: but one in between must not come after it
        (["m-1"], ["m-1"], Fence(2, "other"), True),
        (["m-1"], [], Fence(2, "d"), True),
        (["m-1"], ["m-1", "m-2"], Fence(2, "d"), True),
        ([], ["m-1"], Fence(2, "d"), True),
        ([], [], Fence(1, "old"), False),  # Serve is not started to be told of nothing
    ],
)
def test_a_cluster_is_told_what_it_does_not_show(
    names: list[str], declared: list[str], fence: Fence, told: bool
) -> None:
    config = {"applications": [{"name": name} for name in names]}
    assert decide.differs(config, Fence(2, "d"), {"declared": declared, "fence": fence}) is told


def test_a_long_message_is_told_from_its_end() -> None:
    serve = {"applications": {"m-1": {"status": "DEPLOY_FAILED", "message": f"begin{'x' * 3000}end"}}}
    _, message = decide.state(EndpointRow(**ROW, status="Creating"), decide.Observed(serve=serve))
    assert message is not None and len(message) == 2000 and message.endswith("end")


def test_the_last_of_what_replicas_have_said_is_told() -> None:
    said = "CannotServe: the first\nCannotServe: the last" + "x" * 3000
    serve = {"applications": {"m-1": {"status": "DEPLOY_FAILED", "message": said}}}
    _, message = decide.state(EndpointRow(**ROW, status="Creating"), decide.Observed(serve=serve))
    assert message is not None and len(message) == 2000 and message.startswith("the lastx")


@pytest.mark.parametrize(
    "found", [{}, {"deployments": None}, {"deployments": {"model": None}}, {"deployments": {"model": {}}}]
)
def test_where_serve_lists_no_replicas_its_word_is_taken(found: dict[str, Any]) -> None:
    serve = {"applications": {"m-1": {"status": "RUNNING", **found}}}
    assert decide.shown("m-1", serve, "Creating", 2) == ("Running", None)


ALL = ("Creating", "Updating", "Running", "Failed", "Deleting")


def endpoint(status: str, message: str | None = None, name: str = "") -> EndpointRow:
    return EndpointRow(name=name or status, model_name="m", model_version=1, replicas=1, status=status, message=message)


def test_a_refused_configuration_fails_what_does_not_run_yet() -> None:
    rows = [endpoint(status) for status in ALL]
    told = endpoint("Failed", "no", "told")
    found = decide.refused(decide.Observed([*rows, told]), "no")
    assert [(row.name, status, why) for row, status, why in found] == [
        (name, "Failed", "no") for name in ("Creating", "Updating", "Failed")
    ]


def noted(rows: list[EndpointRow], serves: dict[str, str], traffic: tuple[str, ...] = (), **more: Any) -> decide.Note:
    """What is noted of a cluster that has what it is to have; `traffic` has the status of each model's in its row."""
    shared = [TrafficRow(model_name=model, weights="{}", status="Running") for model in traffic]
    serve = {
        "applications": {name: {"status": status} for name, status in serves.items()},
        "declared": ["m-1"], "fence": Fence(2, "d"),
    }  # fmt: skip
    config = {"applications": [{"name": "m-1"}]}
    observed = decide.Observed(rows, shared, config, "d", serve, answering=set(serves), **more)  # type: ignore[arg-type]
    step = decide.next_step(ServingRow(generation=2), observed)
    assert isinstance(step, decide.Note)
    return step


def test_states_are_noted_where_they_have_changed() -> None:
    rows = [
        endpoint("Creating", name="begins"), endpoint("Running", name="breaks"), endpoint("Running", name="stays"),
        endpoint("Creating", name="comes"),
    ]  # fmt: skip
    serves = {"begins": "RUNNING", "breaks": "DEPLOY_FAILED", "stays": "RUNNING"}
    note = noted(rows, serves)
    assert [(row.name, status) for row, status, _ in note.endpoints] == [("begins", "Running"), ("breaks", "Failed")]
    assert note.ended == []  # one that is not there yet has not ended
    waits = noted([endpoint("Creating", name="comes")], {}, waiting={"comes": "no room"})
    assert [message for _, _, message in waits.endpoints] == ["no room"]


@pytest.mark.parametrize(
    ("rows", "serves", "traffic", "ended", "pause"),
    [
        ([], {}, (), [], decide.EMPTY),
        ([endpoint("Running")], {"Running": "RUNNING"}, (), [], decide.STEADY),
        ([], {"traffic:m": "RUNNING"}, ("m",), [], decide.STEADY),
        ([endpoint("Running")], {"Running": "RUNNING", "traffic:m": "RUNNING"}, ("m",), [], decide.STEADY),
        ([endpoint("Running")], {"Running": "RUNNING", "traffic:m": "DEPLOYING"}, ("m",), [], decide.CHANGING),
        ([endpoint("Running")], {"Running": "DEPLOYING", "traffic:m": "RUNNING"}, ("m",), [], decide.CHANGING),
        ([endpoint("Creating")], {}, (), [], decide.CHANGING),
        ([endpoint("Deleting")], {"Deleting": "DELETING"}, (), [], decide.CHANGING),
        ([endpoint("Deleting")], {}, (), ["Deleting"], decide.EMPTY),
        ([endpoint("Deleting"), endpoint("Running")], {"Running": "RUNNING"}, (), ["Deleting"], decide.STEADY),
        ([endpoint("Deleting"), endpoint("Creating")], {}, (), ["Deleting"], decide.CHANGING),
    ],
)
def test_a_cluster_is_looked_at_often_while_it_changes(
    rows: list[EndpointRow], serves: dict[str, str], traffic: tuple[str, ...], ended: list[str], pause: int
) -> None:
    note = noted(rows, serves, traffic)
    assert (note.ended, note.pause_ms) == (ended, pause)


def test_a_cluster_is_registered_until_it_is_said_otherwise() -> None:
    assert decide.Observed().is_registered
    row = ServingRow(generation=1)
    assert decide.next_step(row, decide.Observed(is_registered=False)) == decide.Forget()
    assert decide.next_step(row, decide.Observed()) == decide.Note(
        pause_ms=decide.EMPTY, endpoints=[], traffic=[], ended=[]
    )
