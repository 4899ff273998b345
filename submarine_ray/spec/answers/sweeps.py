"""What users ask of a running sweep, for its driver."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class SweepWishes(Answer):
    """How many samples a sweep is to try, and which of its trials are to end."""

    num_samples: int
    """The number of samples, with all extensions."""
    stopped: list[str]
    """The ids of the trials that users have stopped."""
    version: str
    """Changes with each request of a user. A driver sends it back to wait for the next change."""

    @classmethod
    def of(cls, num_samples: int, stopped: list[str]) -> SweepWishes:
        """Both only grow, so that their sizes tell one state from another."""
        return cls(num_samples=num_samples, stopped=stopped, version=f"{num_samples}-{len(stopped)}")
