"""Panels of many runs: their documents, what they show of runs and groups, and how means are made."""

from __future__ import annotations

import math
import time
from collections import Counter
from urllib.parse import parse_qsl

import pytest
from pydantic import ValidationError

import submarine_ray as submarine
from submarine_ray.spec.answers.experiments import ExperimentTableRow
from submarine_ray.spec.panels import (
    PANEL,
    ArrangedCharts,
    BarPanel,
    LinePanel,
    ParallelPanel,
    Runs,
    ScatterPanel,
    TextPanel,
    Workspace,
    title_of,
)
from submarine_ray.spec.reports import Block, WrongBlock, parts, read_block, write_block
from submarine_ray.tracking.curves import History
from submarine_ray.workbench.panels import address, defaults, figures, lines, means
from submarine_ray.workbench.panels.runs import colour, entries
from submarine_ray.workbench.reports.writer import inserted


def row(id: str, name: str = "train", tags: tuple[str, ...] = (), **values: float | str) -> ExperimentTableRow:
    said = {name.replace("__", "."): value for name, value in values.items()}
    return ExperimentTableRow(
        experiment_id=id, name=name, owner="anna", framework="Shell", cluster="local", tags=[*tags], status="Succeeded",
        reason=None, message=None, accepted_time=None, running_time=None, finished_time=None, values=said,
    )  # fmt: skip


def test_a_report_is_markdown_with_panels_in_between() -> None:
    line = LinePanel(metrics=["loss", "val/acc"], smoothing=0.5, title="Losses: both")
    runs = Runs(filter="tag = 'two words'", group="params.lr", most=7)
    text = f"# Title\n\n```python\n```\n{write_block(line, runs)}\nbetween\n~~~panel\nkind: text\ntext: hello\n~~~\n"
    first, panel, between, last = parts(text)
    assert first == "# Title\n\n```python\n```\n" and between == "\nbetween\n"
    assert panel == Block(line, runs) and last == Block(TextPanel(text="hello"), Runs())


def test_a_panel_of_text_may_hold_fences() -> None:
    panel = TextPanel(text="```panel\nkind: line\n```\n````\n")
    assert parts(write_block(panel)) == [Block(panel, Runs())]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: pie", "kind: must be one of line"),
        ("kind: bar", "field: is required"),
        ("kind: line\nmetrics: [a]\ncolour: red", "colour: is not a known field"),
        ("kind: line\nmetrics: [a]\nfilter: lr <", "the filter ends where"),
        ("kind: line\nmetrics: [a]\ngroup: created", "runs are grouped by owner"),
        ("- a\n- b", "a panel is written as"),
        ("a: [", "line"),
    ],
)
def test_a_block_that_is_wrong_says_why(text: str, why: str) -> None:
    found = read_block(text)
    assert isinstance(found, WrongBlock) and why in found.why, found


@pytest.mark.parametrize("line", ["```" + " " * 49_000 + "`", "~" * 49_000 + "`"])
def test_a_long_line_that_is_no_fence_costs_nothing(line: str) -> None:
    before = time.process_time()
    assert parts(line) == [line]
    assert time.process_time() - before < 2, "it took ten seconds, in which no page answered"


def test_fields_are_written_as_filters_have_them() -> None:
    panel = PANEL.validate_python({"kind": "scatter", "x": "params.`a b`", "y": "loss"})
    assert isinstance(panel, ScatterPanel) and panel.x == "params.a b" and title_of(panel) == "loss by a b"
    with pytest.raises(ValidationError, match="two panels have the same id"):
        Workspace(panels=[TextPanel(), TextPanel()])


def test_runs_are_gathered_in_groups_and_a_run_has_each_of_its_tags() -> None:
    rows = [row("e-0001", params__lr=10.0), row("e-0002", tags=("a", "b"), params__lr=0.5), row("e-0003", tags=("b",))]
    by_lr = entries(rows, {}, "params.lr")
    assert [(one.label, len(one.runs)) for one in by_lr] == [("lr=0.5", 1), ("lr=10", 1), ("no lr", 1)]
    assert [(one.label, len(one.runs)) for one in entries(rows, {}, "tag")] == [("a", 1), ("b", 2), ("no tag", 1)]
    assert [one.label for one in entries(rows, {}, "owner")] == ["anna"]
    assert [one.label for one in entries(rows[:2], {"e-0001": "r"}, "")] == ["train (0001)", "train (0002)"]
    assert len({colour(number) for number in range(100)}) == 100


def test_a_mean_counts_each_curve_where_it_is() -> None:
    found = means.mean([[(0, 0.0), (2, 2.0)], [(1, 5.0), (2, 4.0), (3, 3.0)], []])
    assert [(one.x, one.mean, one.low, one.high, one.number) for one in found] == [
        (0, 0, 0, 0, 1), (1, 3, 1, 5, 2), (2, 3, 2, 4, 2), (3, 3, 3, 3, 1),
    ]  # fmt: skip
    assert [one.deviation for one in found] == [0, 2, 1, 0]


def test_a_mean_of_a_run_that_diverged_is_drawn() -> None:
    (first, middle, last) = means.mean([[(0, 1.0), (1, 1e200), (2, 1.7e308)], [(0, 3.0), (2, 1.7e308)]])
    assert (first.mean, first.deviation) == (2.0, 1.0) and math.isfinite(middle.mean)
    assert last.mean == pytest.approx(1.7e308) and last.high == 1.7e308
    (_, between, _) = means.mean([[(0, -1.7e308), (2, 1.7e308)], [(1, 4.0)]])
    assert (between.mean, between.deviation) == (2.0, 2.0)


def test_a_mean_of_long_curves_has_few_points() -> None:
    curves = [[(float(step), math.sin(step / 1000) + run) for step in range(run, 5000, 3)] for run in range(5)]
    found = means.mean(curves)
    assert len(found) <= means.MOST_POINTS and found[0].x == 0 and found[-1].x == 4999
    middle = min(found, key=lambda one: abs(one.x - 2500))
    assert middle.number == 5 and abs(middle.mean - (math.sin(middle.x / 1000) + 2)) < 0.01


def test_a_url_says_what_differs_from_what_is_saved() -> None:
    base = Workspace(filter="tag = a", panels=[LinePanel(id="a", metrics=["loss"]), TextPanel(id="b", text="x" * 2000)])
    assert address.charts(base, "saved-1", base) == "/charts?workspace=saved-1"
    moved = base.model_copy(update={"panels": base.panels[::-1], "hidden": ["experiment-1"], "filter": "tag = b"})
    url = address.charts(moved, "saved-1", base)
    found = address.read(dict(parse_qsl(url.partition("?")[2])))
    assert found.saved == "saved-1" and found.is_arranged and found.workspace(base) == moved
    assert len(url) < 250


@pytest.mark.parametrize("packed", ["x", "////", "eNoD", address.packed({"panels": [{"kind": "pie"}]})])
def test_what_a_url_says_wrongly_is_left_out(packed: str) -> None:
    found = address.read({"w": packed, "most": "x", "filter": "lr <", "group": "created"})
    assert found.workspace(Workspace()) == Workspace()
    assert "the filter ends" in str(address.wrong_filter({"filter": "lr <"}))


def test_a_url_that_unpacks_to_more_than_is_kept_is_left_out() -> None:
    assert address.unpacked(address.packed({"hidden": ["x" * address.MOST_BYTES]})) == {}


def test_a_board_begins_with_the_metrics_that_most_runs_have() -> None:
    metrics = Counter({"system/cpu": 3, "seconds": 3, "val/acc": 3, "loss": 2})
    params = [("lr", "0.1"), ("lr", "0.001"), ("seed", "1"), ("opt", "adam"), ("opt", "sgd")]
    *first, last = defaults.chosen(metrics, params)
    assert [one.metrics for one in first if isinstance(one, LinePanel)] == [
        ["val/acc"],
        ["seconds"],
        ["loss"],
        ["system/cpu"],
    ]
    assert isinstance(last, ParallelPanel)
    assert (last.fields, last.log) == (["params.lr", "params.opt", "metrics.val/acc"], ["params.lr"])
    assert defaults.chosen(Counter(), params) == []


def curves(**courses: list[tuple[int, float | None]]) -> dict[tuple[str, str], History]:
    """By run and metric: `a_loss`. Steps are milliseconds too, of a run that began at 60,000."""
    found = {}
    for name, course in courses.items():
        xs, values = [x for x, _ in course], [value for _, value in course]
        found[name[0], name[2:]] = History(60_000, True, xs, xs, values, values, values)
    return found


def test_lines_are_a_curve_a_run_or_a_mean_with_its_band() -> None:
    rows = [row("e-0001"), row("e-0002"), row("e-0003")]
    found = curves(a_loss=[(0, 1.0), (1, 0.5)], b_loss=[(0, 3.0), (1, None), (2, -1.0)])
    read = lines.Read(found, {})
    ids = {"e-0001": "a", "e-0002": "b"}
    panel = LinePanel(metrics=["loss"])
    each = lines.series(panel, entries(rows, ids, ""), read)
    assert [(one.x, one.y) for one in each] == [([0, 1], [1, 0.5]), ([0, 2], [3, -1])]
    (mean,) = lines.series(panel, entries(rows, ids, "owner"), read)
    assert (mean.name, mean.x, mean.y) == ("anna", [0, 1, 2], [2, 0.75, -1])
    assert (mean.low, mean.high) == ([1, 0.5, -1], [3, 1, -1])
    assert lines.look(panel.model_copy(update={"log_y": True, "x": "time"})).log_y


def test_lines_run_over_time_or_another_metric() -> None:
    one = entries([row("e-0001")], {"e-0001": "a"}, "")
    by_step = curves(a_loss=[(0, 1.0), (10, 0.5), (20, 0.2)], a_epoch=[(0, 5.0), (20, 7.0)])
    read = lines.Read(by_step, curves(a_loss=[(60_000, 1.0), (61_500, 0.5)]))

    def drawn(x: str) -> list[tuple[float, float | None]]:
        (found,) = lines.series(LinePanel(metrics=["loss"], x=x), one, read)
        return list(zip(found.x, found.y, strict=True))

    assert drawn("epoch") == [(5, 1), (6, 0.5), (7, 0.2)]
    assert drawn("relative") == [(0, 1), (1_500, 0.5)] and drawn("time") == [(60_000, 1), (61_500, 0.5)]


def test_figures_show_last_values() -> None:
    rows = [
        row("e-0001", params__lr=0.1, params__opt="adam", loss=1.0),
        row("e-0002", params__lr=10.0, loss=3.0),
        row("e-0003"),
    ]
    each, group = entries(rows, {}, ""), entries(rows, {}, "owner")
    bars = figures.bars(BarPanel(field="loss"), each)
    assert bars["yAxis"]["data"] == ["train (0002)", "train (0001)"]
    assert [one["value"] for one in figures.bars(BarPanel(field="loss"), group)["series"][0]["data"]] == [2]
    dots = figures.scatter(ScatterPanel(x="params.opt", y="loss"), each)
    assert dots["xAxis"]["data"] == ["adam"] and [one["value"] for one in dots["series"][0]["data"]] == [["adam", 1]]
    panel = ParallelPanel(fields=["params.lr", "loss"], log=["params.lr"])
    found = figures.parallel(panel, [run for one in each for run in one.runs])
    assert [axis["type"] for axis in found["parallelAxis"]] == ["log", "value"] and len(found["series"][0]["data"]) == 2


@pytest.mark.parametrize(
    ("text", "cursor", "found"),
    [
        ("", 0, "B\n"), ("one", 1, "one\n\nB\n"), ("one\n", 0, "one\n\nB\n"), ("one", 99, "one\n\nB\n"),
        ("one\n\ntwo", 1, "one\n\nB\n\ntwo"), ("one\ntwo", 1, "one\n\nB\n\ntwo"),
    ],
)  # fmt: skip
def test_a_panel_is_inserted_after_the_line_of_the_cursor(text: str, cursor: int, found: str) -> None:
    assert inserted(text, cursor, "B\n") == found


def test_the_charts_of_an_experiment_are_kept_and_those_changed_longest_ago_go() -> None:
    kept = ArrangedCharts()
    for number in range(300):
        kept = kept.with_charts(f"experiment-{number}", ["loss", "val/acc"])
    kept = kept.with_charts("experiment-150", ["val/acc"])
    assert len(kept.charts) == 200 and list(kept.charts)[-1] == "experiment-150"
    assert kept.charts["experiment-150"] == ["val/acc"] and "experiment-99" not in kept.charts
    large = kept.with_charts("experiment-1", [f"{number}-{'x' * 200}" for number in range(200)])
    assert list(large.charts)[-1] == "experiment-1" and len(large.model_dump_json()) < 64_000


def test_a_panel_of_the_sdk_is_a_block_or_says_what_is_wrong() -> None:
    found = submarine.panel("line", metrics=["loss"], filter="tag = a", log_y=True)
    assert parts(found) == [Block(LinePanel(metrics=["loss"], log_y=True), Runs(filter="tag = a"))]
    with pytest.raises(ValueError, match="colour: is not a known field"):
        submarine.panel("line", metrics=["loss"], colour="red")
