"""Sources of trials that may grow while a sweep runs, and after it has ended.

Ray Tune's own are given a number of samples and are finished for good. These ask at each step how many there are to be.
They are stored with the sweep's state, so they hold nothing that belongs to one driver.
"""

from __future__ import annotations

import copy
import random
from typing import Any

from ray.tune.search import ConcurrencyLimiter, SearchGenerator
from ray.tune.search.basic_variant import BasicVariantGenerator

from submarine_ray.runner.tune import sweep as following
from submarine_ray.spec import space
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.launch import Tune


class Drawn(BasicVariantGenerator):  # type: ignore[misc]
    """Parameters that are drawn from a seed: trial N has the same ones however often the sweep grows or resumes."""

    def __init__(self, sweep: Tune) -> None:
        super().__init__(max_concurrent=sweep.max_concurrent)
        self._space = sweep.search_space
        self._is_grid = sweep.algorithm == "grid"
        self._seed = random.SystemRandom().randrange(2**32) if sweep.seed is None else sweep.seed
        self._drawn: tuple[int, list[JsonObject]] = (0, [])

    def next_trial(self) -> Any:
        samples = following.take_up_samples()
        drawn = self._of(samples)
        (iterator,) = self._iterators
        self.max_concurrent = following.at_once()
        if self._finished or iterator.counter >= len(drawn) or len(self._live_trials) >= self.max_concurrent:
            return None
        trial_spec = {**copy.deepcopy(iterator.unresolved_spec), "config": {"params": drawn[iterator.counter]}}
        trial = iterator.create_trial({}, trial_spec)
        self._live_trials.add(trial.trial_id)
        return trial

    def is_finished(self) -> bool:
        made = sum(iterator.counter for iterator in self._iterators)
        return bool(self._finished) or made >= len(self._of(following.samples()))

    def get_state(self) -> Any:
        return {**super().get_state(), "_drawn": (0, []), "_finished": False}

    def _of(self, samples: int) -> list[JsonObject]:
        if self._drawn[0] != samples:
            self._drawn = samples, space.samples(self._space, samples, self._seed, self._is_grid)
        return self._drawn[1]


class Learning(SearchGenerator):  # type: ignore[misc]
    """Parameters that a searcher suggests, which learns from the trials before."""

    def __init__(self, searcher: Any, at_once: int) -> None:
        super().__init__(ConcurrencyLimiter(searcher, max_concurrent=at_once))

    def next_trial(self) -> Any:
        following.take_up_samples()
        return super().next_trial()

    def is_finished(self) -> bool:
        return bool(self._finished) or self._counter >= following.samples()

    def get_state(self) -> Any:
        return {**super().get_state(), "finished": False}

    def restore_from_dir(self, dirpath: str) -> None:
        super().restore_from_dir(dirpath)
        self.searcher.max_concurrent = following.at_once()
