"""What is stored of a run."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class BatchStored(Answer):
    """Which batches of a writer are stored."""

    sequence: int
    """The sequence number of the writer's last stored batch; 0 before the first."""
