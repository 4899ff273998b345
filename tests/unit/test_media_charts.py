"""Histograms of many steps in one chart, and the charts of tables."""

from __future__ import annotations

import json
from typing import Any

import nicegui.json
import pytest

from submarine_ray.client.media_curves import confusion
from submarine_ray.spec.answers.media import MediaItem
from submarine_ray.workbench import media_charts, media_views
from submarine_ray.workbench.media_charts import Histogram


def histogram(edges: list[float], counts: list[float]) -> Histogram:
    found = Histogram.read(json.dumps({"edges": edges, "counts": counts}))
    assert found
    return found


def test_counts_are_spread_over_common_bins() -> None:
    several = [histogram([0, 1, 2], [10, 20]), histogram([0, 4], [8]), histogram([3, 3, 4], [5, 1])]
    found = media_charts.spread(several, 0, 4, 4)
    assert found == [[10, 20, 0, 0], [2, 2, 2, 2], [0, 0, 0, 6]]
    assert media_charts.spread([histogram([2, 2], [3])], 2, 2, 4)[0] == [3, 0, 0, 0]  # all values are one


@pytest.mark.parametrize("text", [
    "", "[]", "null", '{"edges": [1]}', '{"edges": [0, 1], "counts": [1, 2]}', '{"edges": [1, 0], "counts": [1]}',
    '{"edges": [0], "counts": []}', '{"edges": ["a", 1], "counts": [1]}',
    '{"edges": [-1e999, 0], "counts": [1]}', '{"edges": [-1.5e308, 1.5e308], "counts": [1]}', '{"edges": [0, 1], "counts": [1e999]}',
    "[" * 100_000,
])  # fmt: skip
def test_what_is_no_histogram_is_none(text: str) -> None:
    assert Histogram.read(text) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"[1, -3, 123456789012345]", [1, -3, 123456789012345]),
        (b"[9007199254740993, 1180591620717411303424]", ["9007199254740993", "1180591620717411303424"]),
        (b"[" + b"9" * 5000 + b"]", ["9" * 5000]),
        (rb'["a\ud800b", "\uD83D\uDE00", "\\ud"]', ["a?b", "\U0001f600", r"\ud"]),
        (b'["\xff\xed\xa0\x80"]', ["\ufffd\ufffd\ufffd\ufffd"]),
    ],
)
def test_a_page_is_told_of_any_file_of_json(written: bytes, said: object) -> None:
    found = media_views.said(written)
    assert found == said
    nicegui.json.dumps(found)  # else the page would be told nothing at all


def test_a_page_reads_no_more_than_it_draws() -> None:
    def read(kind: str, suffix: str, size: int) -> int:
        return media_views.read_bytes(
            MediaItem(
                name="n", kind=kind, key="k", step=0, replica="worker-0", caption="", timestamp=0, size=size, width=0,
                height=0, has_preview=False, run_id="r", path=f"a/b.{suffix}",
            )
        )  # fmt: skip

    assert (read("table", "json", 5000), read("figure", "html", 5000)) == (5000, 5000)
    assert (read("table", "json", 2**23), read("roc_curve", "json", 2**23), read("figure", "html", 2**23)) == (0, 0, 0)
    assert (read("text", "txt", 2**24), read("image", "png", 5000), read("figure", "png", 5000)) == (100_000, 0, 0)


def test_what_is_nested_too_deep_is_no_file_of_json() -> None:
    with pytest.raises(ValueError, match="too deep"):
        media_views.said(b"[" * 100_000)


def test_a_histogram_is_described() -> None:
    found = Histogram.read(
        '{"edges":[0,1],"counts":[3],"count":3,"min":0.25,"max":1,"mean":0.5,"std":0.1,"not_finite":2}'
    )
    assert found and found.described == "3 values: min 0.25, max 1, mean 0.5, std 0.1, 2 not finite"


def series(options: Any, number: int = 0) -> Any:
    return options["series"][number]["data"]


def test_a_confusion_matrix_is_shaded_by_the_share_of_each_class() -> None:
    rows: Any = confusion(["cat", "cat", "dog", "dog"], ["cat", "dog", "dog", "dog"], None)["data"]
    options = media_charts.confusion(rows)
    assert sorted(series(options)) == [[0, 0, 1, 0.5], [0, 1, 0, 0], [1, 0, 1, 0.5], [1, 1, 2, 1]]
    assert media_charts.confusion([]) is None and media_charts.confusion([["a", "b", 1]]) is None
    assert media_charts.confusion([["a", "a", "x"]]) is None


def test_curves_are_named_by_class_and_replica() -> None:
    rows = [["cat", 0, 0, None], ["cat", 0, 1, 0.5], ["cat", 1, 1, 0.1], ["bad"], [1, "x", 2, 3]]
    options: Any = media_charts.curves([("worker-0", rows), ("worker-1", rows)], "x", "y", True)
    names = [one["name"] for one in options["series"]]
    assert names == ["cat · worker-0 (area 1.000)", "cat · worker-1 (area 1.000)", "chance"]
    assert media_charts.curves([("worker-0", rows)], "x", "y", False)["legend"]["data"] == ["cat (area 1.000)"]  # type: ignore[index]


def test_a_chart_over_steps_has_a_column_for_each() -> None:
    options: Any = media_charts.over_steps([0, 10], [histogram([0, 1], [4]), histogram([1, 2], [4])])
    assert options["xAxis"]["data"] == ["0", "10"] and len(options["yAxis"]["data"]) == media_charts.BINS
    assert sum(count for x, _, count in series(options) if x == 0) == pytest.approx(4, abs=0.5)
