"""Drawings of a sweep."""

from __future__ import annotations

import pytest

from submarine_ray.client import plots

TRIALS = [
    {"number": 2, "params": {"lr": 0.1, "o.name": "sgd", "o.momentum": 0.9}, "metrics": {"loss": 0.2}},
    {"number": 1, "params": {"lr": 0.3, "o.name": "adam"}, "metrics": {"loss": 0.5}},
    {"number": 3, "params": {"lr": 0.2, "o.name": "adam"}, "metrics": {}},
]


def test_a_sweep_is_drawn_as_history_and_parallel_coordinates_and_shown_by_a_notebook() -> None:
    figure = plots.draw({"metric": "loss", "mode": "min", "trials": TRIALS}, "e-1")
    history, parallel, _ = figure.axes
    (best,) = history.get_lines()
    assert list(best.get_xdata()) == [1, 2] and list(best.get_ydata()) == [0.5, 0.2]
    assert [label.get_text() for label in parallel.get_xticklabels()] == ["lr", "o.name", "o.momentum", "loss"]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_sweep_without_a_report_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="no trial has reported a finite 'loss' yet"):
        plots.draw({"metric": "loss", "mode": "min", "trials": TRIALS[2:]}, "e-1")
