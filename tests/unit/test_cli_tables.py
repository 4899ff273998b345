"""`submarine list experiment` with columns of its own."""

from __future__ import annotations

from typing import Any, cast

import pytest

from submarine_ray.cli import tables
from submarine_ray.cli.output import Format, Problem
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.client.http import Service


class Answers:
    """A service that answers with one row."""

    def __init__(self, values: dict[str, float | str]) -> None:
        self.values = values
        self.asked: list[dict[str, Any]] = []

    def call(self, method: str, path: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(params)
        row = {"name": "n\x1b[31m", "experimentId": "e-1", "tags": [], "acceptedTime": "", "status": "Failed"}
        return [{**row, "reason": None, "values": self.values}]


def client(values: dict[str, float | str]) -> tuple[ExperimentClient, Answers]:
    answers = Answers(values)
    made = object.__new__(ExperimentClient)
    made.service = cast(Service, answers)
    return made, answers


def test_numbers_are_whole_and_names_are_found_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = client({"params.a name": 1_234_567.0, "loss": 0.123456789, "[/x]": "\x1b]0;title\x07"})
    tables.logged(made, None, "", "", ["params.`a name`", "loss", "[/x]"], 10, Format.TABLE)
    said = capsys.readouterr().out
    assert "1234567" in said and "0.123457" in said and "[/x]" in said
    assert "\x1b" not in said and "]0;title" in said  # nothing that was logged speaks to the terminal


def test_a_status_holds_for_the_whole_filter() -> None:
    made, answers = client({})
    tables.logged(made, "Failed", "a = 1 or b = 2", "", [], 10, Format.JSON)
    assert answers.asked[0]["filter"] == "status = 'Failed' and (a = 1 or b = 2)"
    with pytest.raises(Problem, match="at character 6: expected 'and', 'or' or the end, not"):
        tables.logged(made, "Failed", "a = 1) or (b = 2", "", [], 10, Format.JSON)


def test_one_column_may_be_a_text() -> None:
    made, answers = client({})
    made.experiment_table(columns="params.lr")
    assert answers.asked[0]["columns"] == ["params.lr"]
