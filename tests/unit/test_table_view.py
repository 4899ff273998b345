"""What the URL of the table of experiments says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from submarine_ray.access.acting import act_for
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core.database import Database
from submarine_ray.core.errors import NotFound
from submarine_ray.saved.kinds import DEFAULT_VIEW, VIEWS
from submarine_ray.saved.service import SavedService
from submarine_ray.spec import expressions
from submarine_ray.spec.expressions import Sort
from submarine_ray.spec.filters import TableQuery
from submarine_ray.spec.views import DefaultView, ExperimentView
from submarine_ray.workbench import view_menu
from submarine_ray.workbench.table_view import View
from submarine_ray.workbench.view_menu import Opened


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


def test_groups_and_pins_stand_in_the_url_and_pinned_columns_come_first() -> None:
    url = "/experiments?group=params.lr&column=status&column=metrics.loss&pin=metrics.loss&view=saved-1"
    found = view(url.partition("?")[2])
    assert found.url == url and found.columns == ("metrics.loss", "status") and found.pinned == ("metrics.loss",)
    assert str(found.by) == "params.lr" and view("group=lr").group == "params.lr"
    assert view("group=metrics.loss").group == view("group=age").group == "" and view("").by is None
    assert view("pin=metrics.loss").pinned == ()  # which is no column


def test_a_view_is_saved_and_opened_again() -> None:
    asked = view("q=x&status=Failed&filter=lr+%3C+1&sort=-loss&group=tag&column=owner&pin=owner&page=3&view=saved-1")
    opened = View.of_saved(asked.document, "saved-2")
    assert opened.document == asked.document and (opened.page, opened.view) == (1, "saved-2")
    assert ExperimentView.model_validate(asked.document.model_dump(by_alias=True)) == asked.document
    assert view("view=saved-1&page=2").is_bare and not asked.is_bare and not view("group=tag").is_bare
    odd = ExperimentView(status="lost", since="ever", sort="tag", group="age", column=["", "owner"])
    assert View.of_saved(odd, "").url == "/experiments?column=owner"


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[SavedService]:
    database = Database(f"sqlite:///{tmp_path}/saved.db")
    database.migrate()
    act_for(Principal(PrincipalKind.ADMINISTRATOR, "token"))
    yield SavedService(database)
    act_for(None)
    database.close()


def test_which_view_the_page_opens_with(saved: SavedService) -> None:
    mine = saved.create(VIEWS, "mine", ExperimentView(q="x"))
    assert view_menu.opened(saved, view("")) == Opened(View(), None, (mine,), None)
    found = view_menu.opened(saved, view(f"view={mine.id}"))
    assert found.view == View(q="x", view=mine.id) and found.saved == mine
    changed = view_menu.opened(saved, view(f"view={mine.id}&q=y"))
    assert changed.view == View(q="y", view=mine.id) and changed.saved == mine
    default = saved.create(DEFAULT_VIEW, "default", DefaultView(view=mine.id))
    assert view_menu.opened(saved, view("")).view == View(q="x", view=mine.id)
    assert view_menu.opened(saved, view("status=Failed")).view == View(status="Failed")
    assert view_menu.opened(saved, view("view=all")) == Opened(View(view="all"), None, (mine,), default)
    saved.delete(mine.id)
    assert view_menu.opened(saved, view("")) == Opened(View(), None, (), None)  # of a view that is gone, none
    with pytest.raises(NotFound, match="not shared"):
        view_menu.opened(saved, view(f"view={mine.id}"))


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
    columns = view("column=owner&column=metrics.loss&pin=metrics.loss").csv
    assert columns.endswith("?shown=id&shown=name&shown=metrics.loss&shown=owner")


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


def test_the_charts_are_of_what_the_table_shows() -> None:
    found = view("tag=two+words&filter=lr+%3C+1&sort=-metrics.loss").charts
    asked = Request({"type": "http", "query_string": found.partition("?")[2].encode(), "headers": [], "path": "/"})
    assert TableQuery.read(asked.query_params["filter"]) and "two words" in asked.query_params["filter"]
    assert asked.query_params["sort"] == "-metrics.loss" and view("").charts == "/charts"
    assert view("filter=lr+%3C").charts == view("status=Deleted").charts == ""
