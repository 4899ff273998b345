"""Ray Tune's placement groups, none of which is removed while it is being made.

Ray 2.60 never gives back what a node had reserved for a group that is removed between reservation and use (ray#64693,
open): a share of the CPUs is lost until the cluster is started again. Population based training cancels many.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ray.air.execution.resources import placement_group as base
from ray.tune.execution import tune_controller
from ray.util.placement_group import remove_placement_group

from submarine_ray.runner.gang import SETTLE_SECONDS


def install() -> None:
    """From now on sweeps of this process ask for their resources so."""
    tune_controller.PlacementGroupResourceManager = SettledGroups


class SettledGroups(base.PlacementGroupResourceManager):  # type: ignore[misc]
    """A cancelled group goes to the next request of its kind; one that nobody takes is removed once it is there."""

    def __init__(self, update_interval_s: float = 0.1) -> None:
        super().__init__(update_interval_s)
        self._cancelled: Counter[Any] = Counter()

    def request_resources(self, resource_request: Any) -> None:
        if self._cancelled[resource_request]:
            self._cancelled[resource_request] -= 1
        else:
            super().request_resources(resource_request)

    def cancel_resource_request(self, resource_request: Any) -> None:
        self._cancelled[resource_request] += 1
        self._remove_ready(resource_request)

    def update_state(self) -> None:
        super().update_state()
        for request in [*self._cancelled]:
            self._remove_ready(request)

    def clear(self) -> None:
        for group in [*self._pg_to_staging_future]:
            group.wait(SETTLE_SECONDS)
        super().clear()

    def _remove_ready(self, request: Any) -> None:
        """Those that are being made count first as the cancelled ones: what is there is of use at once."""
        while self._cancelled[request] > len(self._request_to_staged_pgs[request]):
            group = self._request_to_ready_pgs[request].pop()
            self._pg_to_request.pop(group)
            remove_placement_group(group)
            self._cancelled[request] -= 1
