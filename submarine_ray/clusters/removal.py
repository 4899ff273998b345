"""The messages of a cluster's deletion: what is deleted, what stays, and what the deletion waits for."""

from __future__ import annotations

from submarine_ray.clusters.drivers import kinds
from submarine_ray.clusters.tables import ClusterRow


def given_up(row: ClusterRow, why_not: str | None) -> str:
    """The message after a forced deletion: what has happened, and what the user must still remove."""
    by_hand = kinds.of(row).by_hand(row)
    if by_hand is None:
        return f"{row.name!r} is forgotten; what ran there goes on until it ends."
    if why_not is None:
        return f"{row.name!r} is forgotten, and what was made there is being deleted."
    return (
        f"{row.name!r} is forgotten. What was made there could not be deleted ({why_not}). "
        f"Should it still be there, this deletes it: {by_hand}"
    )


def awaited(name: str, why: str) -> str:
    """What a deletion waits for."""
    return (
        f"{name!r} is being deleted, but what was made there cannot be taken away now ({why}). "
        f"It goes when that works; to forget it at once: submarine cluster delete {name} --force"
    )
