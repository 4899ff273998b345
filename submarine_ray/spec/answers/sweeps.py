"""What users want of a sweep that runs, as its driver is told."""

from __future__ import annotations

from submarine_ray.spec.answers.base import Answer


class SweepWishes(Answer):
    """How many samples a sweep is to try, and which of its trials are to end."""

    num_samples: int
    """The number of samples, with all extensions."""
    stopped: list[str]
    """The ids of the trials that users have stopped."""
    version: str
    """Changes with each wish. Sent with the next request, it is answered once there is another."""

    @classmethod
    def of(cls, num_samples: int, stopped: list[str]) -> SweepWishes:
        """Both only grow, so that their sizes tell one state from another."""
        return cls(num_samples=num_samples, stopped=stopped, version=f"{num_samples}-{len(stopped)}")
