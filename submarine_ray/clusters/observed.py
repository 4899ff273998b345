"""A cluster's observed capacity and health in its row: one control service observes, all of them read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from submarine_ray.clusters.drivers.base import Capacity
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.clock import due_ms
from submarine_ray.spec.quantities import Resources

Columns: TypeAlias = Mapping[str, object]

OVERDUE_MS = 5_000
"""After so long without an observation, the noted capacity is out of date: the cluster hangs, or no service runs."""


def columns(capacity: Capacity) -> Columns:
    """What to note of a cluster that has answered."""
    total, largest = capacity.total, capacity.largest_node
    return {
        "healthy": True,
        "message": capacity.note,
        "incarnation": capacity.incarnation,
        "nodes": len(capacity.nodes) or None,
        "node_ids": " ".join(sorted(capacity.nodes)),
        "starting": capacity.starting,
        "grace": capacity.grace,
        "total_cpu": total.cpu if total else None,
        "total_memory": total.memory if total else None,
        "total_gpu": total.gpu if total else None,
        "node_cpu": largest.cpu if largest else None,
        "node_memory": largest.memory if largest else None,
        "node_gpu": largest.gpu if largest else None,
    }


def capacity(row: ClusterRow) -> Capacity | None:
    """What was noted, if it still counts."""
    is_late = row.next_check_ms is None or due_ms() > row.next_check_ms + OVERDUE_MS
    if is_late or not row.healthy or row.incarnation is None or row.starting is None:
        return None
    nodes = frozenset((row.node_ids or "").split())
    return Capacity(row.incarnation, total(row), node(row), nodes, row.starting, row.message, row.grace)


def total(row: ClusterRow) -> Resources | None:
    """All that the cluster has, as it was last seen; None if it never was, or has no bound."""
    return None if row.total_cpu is None else Resources(row.total_cpu, row.total_memory or 0, row.total_gpu or 0)


def node(row: ClusterRow) -> Resources | None:
    """The largest node, likewise."""
    return None if row.node_cpu is None else Resources(row.node_cpu, row.node_memory or 0, row.node_gpu or 0)
