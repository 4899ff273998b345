"""`submarine list experiment` with columns of its own."""

from __future__ import annotations

from typing import Any, cast

import pytest
from typer.testing import CliRunner

from submarine_ray.cli import main, tables
from submarine_ray.cli.output import Format, Problem
from submarine_ray.cli.tables import Asked
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
    tables.logged(made, Asked(columns=("params.`a name`", "loss", "[/x]")), Format.TABLE)
    said = capsys.readouterr().out
    assert "1234567" in said and "0.123457" in said and "[/x]" in said
    assert "\x1b" not in said and "]0;title" in said  # nothing that was logged speaks to the terminal


def test_a_status_holds_for_the_whole_filter() -> None:
    made, answers = client({})
    tables.logged(made, Asked("Failed", "a = 1 or b = 2"), Format.JSON)
    assert answers.asked[0]["filter"] == "status = 'Failed' and (a = 1 or b = 2)"
    with pytest.raises(Problem, match="at character 6: expected 'and', 'or' or the end, not"):
        tables.logged(made, Asked("Failed", "a = 1) or (b = 2"), Format.JSON)


def test_one_column_may_be_a_text() -> None:
    made, answers = client({})
    made.experiment_table(columns="params.lr")
    assert answers.asked[0]["columns"] == ["params.lr"]


def test_a_saved_view_is_listed_with_the_options_besides() -> None:
    document = {"status": "Failed", "filter": "a = 1 or b = 2", "sort": "-loss", "group": "owner",
                "column": ["owner", "metrics.loss"]}  # fmt: skip
    found = tables.of_view(Asked(filter="tag = x", limit=5), {"name": "v", "document": document})
    assert found.condition == "(status = Failed and (a = 1 or b = 2)) and (tag = x)"
    assert (found.sort, found.columns, found.by, found.limit) == ("-loss", ("metrics.loss",), "owner", 5)
    assert tables.of_view(Asked(sort="name", by="tag"), {"name": "v", "document": document}).sort == "name"
    for odd in ({"status": "Deleted"}, {"q": "'\""}, {"colour": "red"}, {"filter": "a = 1) or (b = 2"}):
        with pytest.raises(Problem, match="the view 'v' cannot be listed here"):
            tables.of_view(Asked(), {"name": "v", "document": odd})


def test_groups_show_means_and_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    loss = {"count": 2, "mean": 0.5, "minimum": 0.25, "maximum": 0.75}
    one = {"count": 1, "mean": 2.0, "minimum": 2.0, "maximum": 2.0}
    groups = [{"value": 0.1, "count": 2, "filter": "", "values": {"metrics.loss": loss}},
              {"value": None, "count": 1, "filter": "", "values": {"metrics.loss": one}},
              {"value": "[/x]", "count": 3, "filter": "", "values": {}}]  # fmt: skip
    made = object.__new__(ExperimentClient)
    made.service = cast(Service, Groups(groups))
    tables.grouped(made, Asked(by="params.lr", columns=("metrics.loss",)), Format.TABLE)
    said = capsys.readouterr().out
    assert "0.5 (0.25 - 0.75)" in said and "(none)" in said and "[/x]" in said


class Groups:
    """A service that answers with groups."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.found = found

    def call(self, method: str, path: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        assert (method, path, params["by"]) == ("GET", "/api/v1/experiment/groups", "params.lr")
        return self.found


def test_many_are_changed_after_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def call(_self: Service, method: str, path: str, json: Any) -> Any:
        asked.append((method, path, json))
        failures = [{"experimentId": "e-9", "message": "it is gone"}] if json["action"] == "untag" else []
        return {"changed": 2, "skipped": 1, "failures": failures, "failed": len(failures)}

    monkeypatch.setattr(Service, "call", call)

    def run(*words: str, say: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(main.app, ["bulk", *words], input=say)
        return done.exit_code, f"{done.output}{done.exception or ''}"

    assert run("tag", "good", "--filter", "loss < 1") == (0, "2 tagged, 1 had already ended\n")
    assert run("stop", "--id", "e-1", "--id", "e-2", say="n\n")[0] == 1 and len(asked) == 1
    assert run("delete", "--filter", "loss > 9", say="y\n")[0] == 0 and run("stop", "--id", "e-1", "-y")[0] == 0
    assert [json for _, _, json in asked] == [
        {"action": "tag", "filter": "loss < 1", "tag": "good"},
        {"action": "delete", "filter": "loss > 9"},
        {"action": "stop", "ids": ["e-1"]},
    ]
    for words in (("stop",), ("stop", "--id", "e", "--filter", "a = 1")):
        code, said = run(*words)
        assert code == 1 and "give --filter, or --id" in said
    code, said = run("untag", "x", "--id", "e-9")
    assert code == 1 and "e-9: it is gone" in said and "1 could not be changed" in said
