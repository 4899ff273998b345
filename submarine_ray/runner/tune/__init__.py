"""A sweep: Ray Tune decides what to try and what to give up, each trial is a run of the experiment itself."""

from __future__ import annotations

from submarine_ray.spec.launch import Launch, Tune


def run(launch: Launch, tune: Tune) -> None:
    """Run the sweep to its end; resumes where an earlier attempt of it was. Raises RunnerError."""
    from submarine_ray.runner.tune import driver  # imports Ray Tune, which takes a second

    driver.run(launch, tune)
