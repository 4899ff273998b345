"""Settings of charts in URLs, and histories of metrics as series."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from starlette.datastructures import QueryParams

from submarine_ray.tracking.curves import History
from submarine_ray.workbench.chart_settings import ChartSettings, zoom_query, zooms
from submarine_ray.workbench.line_chart import Zoom
from submarine_ray.workbench.metric_lines import lines


def history(steps: list[int], values: list[float | None], is_whole: bool = True) -> History:
    """Of a run that began at 1,000; a step is 10 ms."""
    return History(1_000, is_whole, steps, [1_000 + 10 * step for step in steps], values, values, values)


def test_settings_are_the_same_after_a_copied_link() -> None:
    said = ChartSettings("metrics.a&b", 0.85, log_x=True, log_y=True, clip_outliers=True)
    assert ChartSettings.of(QueryParams(urlencode(said.query(), doseq=True))) == said
    assert not any(ChartSettings().query().values())  # what is usual is not said


@pytest.mark.parametrize("query", ["x=what", "x=metrics.", "smoothing=nan", "smoothing=much", "logx=yes", "outliers=1"])
def test_what_makes_no_sense_in_a_url_is_left_out(query: str) -> None:
    assert ChartSettings.of(QueryParams(query)) == ChartSettings()


def test_smoothing_has_bounds() -> None:
    assert [ChartSettings.of({"smoothing": said}).smoothing for said in ("-3", "0.5", "7")] == [0.0, 0.5, 0.99]


def test_zooms_are_the_same_after_a_copied_link() -> None:
    found = {"a~b": Zoom((10.0, 20.5), None), "loss": Zoom(None, (-1e-7, 1e300)), "all": Zoom()}
    assert zooms(zoom_query(found)["zoom"]) == {"a~b": found["a~b"], "loss": found["loss"]}
    assert zooms(["loss", "loss~1~2", "loss~x~2~~", "loss~nan~2~~", ""]) == {}
    assert zooms(["loss~20~10~~"]) == {"loss": Zoom()}  # a range has a low and a high end


def test_x_may_be_a_step_a_time_or_a_metric() -> None:
    found = {
        ("r", "loss"): history([0, 5, 10, 15], [4.0, None, 2.0, 1.0]),
        ("r", "epoch"): history([0, 10], [0.0, 1.0]),
    }

    def drawn(x: str) -> list[tuple[float, float | None]]:
        (one,) = lines({"r": ""}, "loss", found, ChartSettings(x)).series
        return list(zip(one.x, one.y, strict=True))

    assert drawn("step") == [(0, 4), (5, None), (10, 2), (15, 1)]
    assert [x for x, _ in drawn("time")] == [1_000, 1_050, 1_100, 1_150]
    assert [x for x, _ in drawn("relative")] == [0, 50, 100, 150]
    assert drawn("metrics.epoch") == [(0, 4), (0.5, None), (1, 2)]  # nothing is known after the last epoch
    assert drawn("metrics.other") == []


def test_finer_points_take_the_place_of_a_part() -> None:
    whole = history([0, 10, 20, 30], [0.0, 10.0, 20.0, 30.0], is_whole=False)
    part = history([9, 10, 11, 12], [9.0, 10.0, 11.0, 12.0])
    (one,) = lines({"r": "a"}, "loss", {("r", "loss"): whole}, ChartSettings(), {("r", "loss"): part}).series
    assert one.x == [0, 9, 10, 11, 12, 20, 30] and one.x == one.y
    assert one.spacing == 10 and one.extremes == (0, 30)


def test_a_few_curves_have_bands_and_many_have_none() -> None:
    wide = history([0, 1], [1.0, 2.0])
    wide.lows, wide.highs = [0.0, 1.0], [2.0, 9.0]
    (one,) = lines({"r": "a"}, "loss", {("r", "loss"): wide}, ChartSettings()).series
    assert (one.low, one.high, one.extremes) == ([0, 1], [2, 9], (0, 9))
    runs = {str(number): str(number) for number in range(5)}
    many = lines(runs, "loss", {(run, "loss"): wide for run in runs}, ChartSettings(), first="3").series
    assert {one.low for one in many} == {None} and [one.stands_out for one in many] == [
        False,
        False,
        False,
        True,
        False,
    ]
