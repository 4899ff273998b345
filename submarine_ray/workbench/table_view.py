"""What the table of experiments shows, as its URL says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from starlette.requests import Request

from submarine_ray.core.clock import now_ms
from submarine_ray.spec.completions import quoted
from submarine_ray.spec.experiment import ExperimentStatus
from submarine_ray.spec.expressions import MAX_LENGTH, MAX_SORT, WrongExpression
from submarine_ray.spec.filters import Filter, TableQuery
from submarine_ray.workbench import addresses, columns

PERIODS = {"hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400}
_STATES = (*ExperimentStatus.SEEN, ExperimentStatus.DELETED)
_CHOICES = ("status", "owner", "framework", "tag", "cluster")
_MOST = 250


@dataclass(frozen=True)
class View:
    """What the table shows; its fields are the URL's."""

    q: str = ""
    status: str = ""
    owner: str = ""
    framework: str = ""
    tag: str = ""
    since: str = ""
    cluster: str = ""
    filter: str = ""
    sort: str = ""
    column: tuple[str, ...] = ()
    page: int = 1

    @classmethod
    def of(cls, request: Request) -> View:
        """What is not understood is left out, but for a filter that is wrong: the page says so."""
        given = request.query_params
        number = given.get("page", "1")
        texts = {name: given.get(name, "")[:_MOST] for name in ("q", *_CHOICES, "since")}
        texts["status"] = texts["status"] if texts["status"] in _STATES else ""
        texts["since"] = texts["since"] if texts["since"] in PERIODS else ""
        found = cls(
            **texts,
            filter=given.get("filter", "")[: MAX_LENGTH + 1],
            sort=given.get("sort", "") if len(given.get("sort", "")) <= MAX_SORT else "",
            column=columns.known(given.getlist("column")),
            page=max(1, int(number)) if number.isdecimal() and len(number) < 9 else 1,
        )
        try:
            TableQuery.read(sort=found.sort)
        except WrongExpression:
            return replace(found, sort="")
        return found

    @property
    def url(self) -> str:
        return addresses.experiments(**asdict(self) | {"page": str(self.page) if self.page > 1 else ""})

    def changed(self, **texts: str) -> View:
        """The first page of another view."""
        return View(**{**asdict(self), **texts, "page": 1})

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.column or tuple(columns.COLUMNS)

    @property
    def is_filtered(self) -> bool:
        return replace(self, page=1, sort="", column=()) != View()

    def query(self) -> TableQuery:
        """What the service is asked. Raises WrongExpression for a filter that is wrong."""
        is_deleted = self.status == ExperimentStatus.DELETED
        also = Filter(
            status=self.status if is_deleted else None,
            state=None if is_deleted else self.status or None,
            tag=self.tag or None,
            owner=self.owner or None,
            framework=self.framework or None,
            search=self.q.strip()[:_MOST] or None,
            since_ms=now_ms() - PERIODS[self.since] * 1000 if self.since else None,
            cluster=self.cluster or None,
        )
        return TableQuery.read(self.filter, self.sort, columns.logged(self.columns), also)

    @property
    def csv(self) -> str:
        """Where the table is as a file: all that filters it is one expression there. Empty if none can say it."""
        said = [f"{name} = {quoted(value)}" for name in _CHOICES if (value := getattr(self, name))]
        if found := self.q.strip()[:_MOST]:
            said.append(f"(name ~ {quoted(found)} or id ~ {quoted(found)})")
        if self.since:
            said.append(f"age < {PERIODS[self.since]}s")
        if self.filter.strip():
            said.append(f"({self.filter})")
        if any("'" in value and '"' in value for value in (self.q, *(getattr(self, name) for name in _CHOICES))):
            return ""  # which no text of an expression can hold
        whole = " and ".join(said)
        try:
            self.query()
            TableQuery.read(whole)
        except WrongExpression:  # deleted ones; more than an expression may hold; or the filter itself is wrong
            return ""
        return addresses.experiments_csv(whole, self.sort, columns.logged(self.columns))

    def sorted_by(self, name: str) -> str:
        """The next order after a press on a column's heading: ascending, descending, none."""
        if self.sort == name:
            return f"-{name}"
        return "" if self.sort == f"-{name}" else name
