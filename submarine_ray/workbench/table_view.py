"""What the table of experiments shows, as its URL and its saved views say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from pydantic import ValidationError
from starlette.requests import Request

from submarine_ray.core.clock import now_ms
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import MAX_LENGTH, MAX_SORT, Field, WrongExpression
from submarine_ray.spec.filters import Filter, TableQuery
from submarine_ray.spec.groups import read_group
from submarine_ray.spec.panels import Workspace
from submarine_ray.spec.views import MOST_TEXT, PERIODS, ExperimentView
from submarine_ray.workbench import addresses, columns
from submarine_ray.workbench.panels import address

ALL = "all"  # in place of a saved view's id: none, not even the default one
_STATES = (*ExperimentStatus.SEEN, ExperimentStatus.DELETED)


@dataclass(frozen=True)
class View:
    """What the table shows; its fields are the URL's. `view` is the id of the saved view that it began with."""

    q: str = ""
    status: str = ""
    owner: str = ""
    framework: str = ""
    tag: str = ""
    since: str = ""
    cluster: str = ""
    filter: str = ""
    sort: str = ""
    group: str = ""
    column: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    page: int = 1
    view: str = ""

    @classmethod
    def of(cls, request: Request) -> View:
        """What is not understood is left out, but for a filter that is wrong: the page says so."""
        given = request.query_params
        number = given.get("page", "1")
        found = cls._read(dict(given), given.getlist("column"), given.getlist("pin"))
        page = max(1, int(number)) if number.isdecimal() and len(number) < 9 else 1
        return replace(found, page=page, view=given.get("view", "")[:64])

    @classmethod
    def of_saved(cls, document: ExperimentView, view: str) -> View:
        """A saved view."""
        given = document.model_dump(exclude={"column", "pin"})
        return replace(cls._read(given, document.column, document.pin), view=view)

    @classmethod
    def _read(cls, given: dict[str, str], column: Sequence[str], pin: Sequence[str]) -> View:
        texts = {name: given.get(name, "")[:MOST_TEXT] for name in ("q", "owner", "framework", "tag", "cluster")}
        status, since = given.get("status", ""), given.get("since", "")
        return cls(
            status=status if status in _STATES else "",
            since=since if since in PERIODS else "",
            filter=given.get("filter", "")[: MAX_LENGTH + 1],
            sort=_sort(given.get("sort", "")),
            group=_group(given.get("group", "")),
            column=columns.known(column),
            pin=columns.known(pin)[: columns.MOST_PINS],
            **texts,  # type: ignore[arg-type]
        )

    @property
    def document(self) -> ExperimentView:
        """What is saved of it."""
        said = asdict(self)
        del said["page"], said["view"]
        # Not checked here: of a filter that is too long, its field says so.
        return ExperimentView.model_construct(None, **said | {"column": list(self.column), "pin": list(self.pin)})

    @property
    def url(self) -> str:
        return addresses.experiments(**asdict(self) | {"page": str(self.page) if self.page > 1 else ""})

    @property
    def is_bare(self) -> bool:
        """Whether the URL says nothing but which saved view it is: then it is that."""
        return replace(self, view="", page=1) == View()

    def changed(self, **texts: str) -> View:
        """The first page of another view."""
        return replace(self, **texts, page=1)  # type: ignore[arg-type]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns in their order, those that are pinned first."""
        names = self.column or tuple(columns.COLUMNS)
        pinned = tuple(name for name in self.pin if name in names)
        return (*pinned, *(name for name in names if name not in pinned))

    @property
    def pinned(self) -> tuple[str, ...]:
        """The names of the columns that stay at the left."""
        return tuple(name for name in self.columns if name in self.pin)

    @property
    def is_filtered(self) -> bool:
        return replace(self, page=1, sort="", group="", column=(), pin=(), view="") != View()

    @property
    def by(self) -> Field | None:
        """The field that groups."""
        return read_group(self.group) if self.group else None

    def query(self) -> TableQuery:
        """What the service is asked. Raises WrongExpression for a filter that is wrong."""
        is_deleted = self.status == ExperimentStatus.DELETED
        also = Filter(
            status=self.status if is_deleted else None,
            state=None if is_deleted else self.status or None,
            tag=self.tag or None,
            owner=self.owner or None,
            framework=self.framework or None,
            search=self.q.strip()[:MOST_TEXT] or None,
            since_ms=now_ms() - PERIODS[self.since] * 1000 if self.since else None,
            cluster=self.cluster or None,
        )
        return TableQuery.read(self.filter, self.sort, columns.logged(self.columns), also)

    @property
    def csv(self) -> str:
        """Where the table is as a file: all that filters it is one expression there. Empty if none can say it."""
        try:
            whole = self.document.expression
        except WrongExpression:  # deleted ones; more than an expression may hold; or the filter itself is wrong
            return ""
        return addresses.experiments_csv(whole, self.sort, ("id", "name", *self.columns))

    @property
    def charts(self) -> str:
        """Where the table's experiments are as curves. Empty if no filter can say which they are."""
        try:
            return address.charts(Workspace(filter=self.document.expression, sort=self.sort))
        except (WrongExpression, ValidationError):
            return ""

    def sorted_by(self, name: str) -> str:
        """The next order after a press on a column's heading: ascending, descending, none."""
        if self.sort == name:
            return f"-{name}"
        return "" if self.sort == f"-{name}" else name


def _sort(text: str) -> str:
    try:
        if text and len(text) <= MAX_SORT:
            return text if TableQuery.read(sort=text) else ""
    except WrongExpression:
        pass
    return ""


def _group(text: str) -> str:
    try:
        return str(read_group(text)) if text and len(text) <= MAX_SORT else ""
    except WrongExpression:
        return ""
