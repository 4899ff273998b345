"""Placement groups of a sweep: none is removed while Ray is making it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from submarine_ray.runner.tune import groups

KINDS = ("small", "large")


class Group:
    """A placement group without a cluster; `is_made` once Ray has made it."""

    def __init__(self) -> None:
        self.is_made = self.is_removed = False

    def ready(self) -> Group:
        return self  # its own future

    def wait(self, _seconds: float) -> bool:
        self.is_made = True
        return True


class Kind:
    """A request for resources; all of one kind are equal."""

    def __init__(self, name: str, made: list[Group]) -> None:
        self._name = name
        self._made = made

    def to_placement_group(self) -> Group:
        self._made.append(Group())
        return self._made[-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kind) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)


def remove(group: Group) -> None:
    assert group.is_made, "Ray 2.60 loses what it had reserved for it"
    assert not group.is_removed
    group.is_removed = True


class Sweep(RuleBasedStateMachine):
    """What Ray Tune does to its manager of resources, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        for module in (groups, groups.base):
            self._patch.setattr(module, "remove_placement_group", remove)
        self._patch.setattr(groups.base.ray, "wait", lambda futures, **_: ([f for f in futures if f.is_made], []))
        self._patch.setattr(groups.base.ray, "is_initialized", lambda: True)
        self._made: list[Group] = []
        self._manager = groups.SettledGroups()
        self._wanted = dict.fromkeys(KINDS, 0)
        self._held: list[Any] = []

    def teardown(self) -> None:
        self._manager.clear()
        self._patch.undo()
        assert all(group.is_removed for group in self._made)

    @rule(kind=st.sampled_from(KINDS))
    def request(self, kind: str) -> None:
        self._manager.request_resources(Kind(kind, self._made))
        self._wanted[kind] += 1

    @rule(kind=st.sampled_from(KINDS))
    def cancel(self, kind: str) -> None:
        if self._wanted[kind]:
            self._manager.cancel_resource_request(Kind(kind, self._made))
            self._wanted[kind] -= 1

    @rule(kind=st.sampled_from(KINDS))
    def acquire(self, kind: str) -> None:
        if self._wanted[kind] and (acquired := self._manager.acquire_resources(Kind(kind, self._made))):
            self._wanted[kind] -= 1
            self._held.append(acquired)

    @precondition(lambda self: self._held)
    @rule()
    def free(self) -> None:
        self._manager.free_resources(self._held.pop())

    @rule(data=st.data())
    def ray_makes_one(self, data: st.DataObject) -> None:
        if being_made := [group for group in self._made if not group.is_made]:
            data.draw(st.sampled_from(being_made)).is_made = True
        self._manager.update_state()

    @invariant()
    def there_are_enough_and_few_too_many(self) -> None:
        kept = sum(not group.is_removed for group in self._made)
        being_made = sum(not group.is_made for group in self._made)
        wanted = sum(self._wanted.values()) + len(self._held)
        assert wanted <= kept <= wanted + being_made


TestSweep = Sweep.TestCase
