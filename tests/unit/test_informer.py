"""What a watch keeps of a namespace: found by its group, whatever one object looks like."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest

from submarine_ray.clusters.drivers.kuberay.informer import Informer
from tests.conftest import wait_until

Object = dict[str, Any]


class Api:
    """An API server that lists `items`, then tells of what is put into `events`."""

    def __init__(self, *items: Object) -> None:
        self.items = list(items)
        self.events: queue.Queue[Object] = queue.Queue()
        self.lists = 0

    def list(self, _path: str, _selector: str) -> tuple[list[Object], str]:
        self.lists += 1
        return self.items, "1"

    def watch(self, *_: object) -> Iterator[Object]:
        while (event := self.events.get(timeout=10)) is not None:
            yield event

    def tell(self, kind: str, found: Object) -> None:
        self.events.put({"type": kind, "object": found})


def pod(name: str, cluster: str, version: int = 1, **more: Any) -> Object:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}, "cluster": cluster, **more}


def keep(found: Object) -> Object:
    if found.get("broken"):
        raise KeyError("spec")
    return found


@pytest.fixture
def api() -> Api:
    return Api(pod("a-head", "a"), pod("a-worker", "a"), pod("b-head", "b"))


@pytest.fixture
def informer(api: Api) -> Iterator[Informer]:
    changed: list[Any] = []
    found = Informer(api, "pods", "", keep, lambda *pair: changed.append(pair), lambda one: one["cluster"])  # type: ignore[arg-type]
    found.start()
    yield found
    found.stop()
    api.tell("BOOKMARK", pod("", "", 99))


def names(informer: Informer, group: str) -> list[str]:
    return [found["metadata"]["name"] for found in informer.group(group)]


def test_objects_are_found_by_their_group(api: Api, informer: Informer) -> None:
    assert (names(informer, "a"), names(informer, "b"), names(informer, "c")) == (
        ["a-head", "a-worker"],
        ["b-head"],
        [],
    )
    api.tell("ADDED", pod("b-worker", "b", 2))
    api.tell("MODIFIED", pod("a-worker", "a", 3, phase="Running"))
    api.tell("DELETED", pod("a-head", "a", 4))
    wait_until(lambda: names(informer, "a") == ["a-worker"], 5, "the deleted pod left its group")
    assert informer.group("a")[0]["phase"] == "Running" and names(informer, "b") == ["b-head", "b-worker"]
    api.tell("MODIFIED", pod("b-worker", "a", 5))
    api.tell("DELETED", pod("b-head", "b", 6))
    wait_until(lambda: not names(informer, "b"), 5, "the relabelled pod left its group")
    assert names(informer, "a") == ["a-worker", "b-worker"]


def test_an_object_that_is_not_understood_stops_no_watch(api: Api, informer: Informer) -> None:
    assert names(informer, "b") == ["b-head"]
    api.tell("ADDED", pod("odd", "b", 2, broken=True))
    api.tell("MODIFIED", pod("b-head", "b", 3, broken=True))
    api.tell("ADDED", pod("c-head", "c", 4))
    wait_until(lambda: names(informer, "c"), 5, "the next pod is seen")
    assert informer.get("odd") is None and informer.group("b") == [pod("b-head", "b")]  # as it was understood last
    assert api.lists == 1


def test_a_list_with_an_object_that_is_not_understood_has_the_others() -> None:
    api = Api(pod("odd", "a", broken=True), pod("a-head", "a"))
    informer = Informer(api, "pods", "", keep, lambda *_: None, lambda one: one["cluster"])  # type: ignore[arg-type]
    informer.start()
    assert list(informer.objects()) == ["a-head"] and names(informer, "a") == ["a-head"]
    informer.stop()
    api.tell("BOOKMARK", pod("", "", 99))
