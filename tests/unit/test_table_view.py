"""What the URL of the table of experiments says."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from submarine_ray.spec import expressions
from submarine_ray.spec.expressions import Sort
from submarine_ray.workbench.table_view import View


def view(query: str) -> View:
    return View.of(Request({"type": "http", "query_string": query.encode(), "headers": [], "path": "/experiments"}))


def test_a_url_says_it_all_and_is_said_again() -> None:
    url = "/experiments?q=x&owner=anna&filter=lr+%3C+1&sort=-metrics.loss&column=status&column=metrics.loss&page=3"
    found = view(url.partition("?")[2])
    assert found.url == url and found.columns == ("status", "metrics.loss") and found.page == 3
    query = found.query()
    assert query.sort == Sort.read("-metrics.loss") and [str(one) for one in query.columns] == ["metrics.loss"]
    assert (query.filter.owner, query.filter.search) == ("anna", "x") and query.filter.expression


@pytest.mark.parametrize("query", ["sort=tag", "page=0", "page=x", "status=lost", "since=ever", "column=", "sort=-"])
def test_what_is_not_understood_is_left_out(query: str) -> None:
    assert view(query).url == "/experiments"


def test_a_wrong_filter_stays_for_its_user_to_mend() -> None:
    assert view("filter=lr+%3C").filter == "lr <"
    with pytest.raises(expressions.WrongExpression):
        view("filter=lr+%3C").query()


def test_the_file_has_what_the_page_shows() -> None:
    found = view("q=it's&status=Failed&tag=two+words&since=day&filter=lr+%3C+1+or+lr+%3E+2&sort=name").csv
    asked = Request({"type": "http", "query_string": found.partition("?")[2].encode(), "headers": [], "path": "/"})
    text = asked.query_params["filter"]
    assert text == (
        "status = Failed and tag = 'two words' and (name ~ \"it's\" or id ~ \"it's\") and age < 86400s"
        " and (lr < 1 or lr > 2)"
    )
    expressions.read(text)
    assert asked.query_params["sort"] == "name"


@pytest.mark.parametrize(
    "query",
    [
        "status=Deleted",  # of which an expression cannot speak
        "owner=x&filter=" + "+and+".join(["a%3D1"] * 20),
        "filter=lr+%3C",
        "status=Failed&filter=a%3D1)+or+(b%3D2",  # no filter, while it is one between parentheses
        "q='%22",  # no text can hold both quotes
    ],
)
def test_there_is_no_file_of_what_no_expression_says(query: str) -> None:
    assert view(query).csv == ""


def test_the_longest_name_is_sorted_by() -> None:
    longest = f"-metrics.{'n' * 250}"
    assert view(f"sort={longest}").sort == longest and view(f"sort={longest}n").sort == ""


def test_a_press_on_a_heading_goes_through_the_orders() -> None:
    found = view("")
    for expected in ("name", "-name", ""):
        found = found.changed(sort=found.sorted_by("name"))
        assert found.sort == expected
