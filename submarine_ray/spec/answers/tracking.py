"""What is stored of a run."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class BatchStored(Answer):
    """How far a writer's points are stored."""

    sequence: int
    """The writer's last sequence number that is stored; 0 before the first."""
