"""The mean of several curves, and how far they stray from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MOST_POINTS = 400

Course = Sequence[tuple[float, float]]


class Mean(NamedTuple):
    """At x: the mean of the curves that have a value there, their standard deviation and extremes, and how many."""

    x: float
    mean: float
    deviation: float
    low: float
    high: float
    number: int


def mean(courses: Sequence[Course]) -> list[Mean]:
    """The mean course. Each curve counts from its first point to its last; between its points it is straight."""
    courses = [course for course in courses if course]
    grid = _grid(courses)
    found: list[list[float]] = [[] for _ in grid]
    for course in courses:
        for place, value in on_grid(course, grid):
            found[place].append(value)
    return [_one(x, values) for x, values in zip(grid, found, strict=True) if values]


def _one(x: float, values: list[float]) -> Mean:
    number = len(values)
    try:
        middle = math.fsum(values) / number
    except OverflowError:  # of a run that diverged
        middle = math.fsum(value / number for value in values)
    deviation = math.hypot(*(value - middle for value in values)) / math.sqrt(number)  # squares would overflow
    return Mean(x, middle, deviation, min(values), max(values), number)


def _grid(courses: Sequence[Course]) -> list[float]:
    """Where the mean is taken: at the points of the curves themselves, unless these are too many."""
    points = sorted({x for course in courses for x, _ in course})
    if len(points) <= MOST_POINTS:
        return points
    first, last = points[0], points[-1]
    return [first + (last - first) * number / (MOST_POINTS - 1) for number in range(MOST_POINTS)]


def on_grid(course: Course, grid: Sequence[float]) -> Iterator[tuple[int, float]]:
    """The values of a curve at the places of the grid that lie within it; the grid is in order."""
    after = 0
    for place, x in enumerate(grid):
        if x < course[0][0] or x > course[-1][0]:
            continue
        while course[after][0] < x:
            after += 1
        at, value = course[after]
        if at == x or after == 0:
            yield place, value
            continue
        before, start = course[after - 1]
        part = (x - before) / (at - before)
        yield place, start * (1 - part) + value * part
