"""A view of the table of experiments, as it is saved: what is shown, in which order and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from submarine_ray.spec.base import Document
from submarine_ray.spec.completions import quoted
from submarine_ray.spec.expressions import MAX_LENGTH, MAX_SORT, WrongExpression, read
from submarine_ray.spec.filters import MOST_COLUMNS

MOST_TEXT = 250
PERIODS = {"hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400}
CHOICES = ("status", "owner", "framework", "tag", "cluster")
Chosen = Annotated[str, Field(max_length=MOST_TEXT)]
ColumnName = Annotated[str, Field(max_length=MAX_SORT)]


class ExperimentView(Document):
    """A view of the table of experiments. Empty fields restrict nothing."""

    q: Chosen = ""
    """A part of the name or of the id."""
    status: Chosen = ""
    """Only experiments in this state."""
    owner: Chosen = ""
    """Only experiments of this owner."""
    framework: Chosen = ""
    """Only experiments of this framework."""
    tag: Chosen = ""
    """Only experiments with this tag."""
    cluster: Chosen = ""
    """Only experiments on this cluster."""
    since: Chosen = ""
    """Only experiments created within the last `hour`, `day`, `week` or `month`."""
    filter: str = Field("", max_length=MAX_LENGTH)
    """A filter expression: `metrics.loss < 0.1 and tag = demo`."""
    sort: str = Field("", max_length=MAX_SORT)
    """The field to sort by; with `-` before it, the highest comes first."""
    group: ColumnName = ""
    """The field to group by."""
    column: list[ColumnName] = Field(default_factory=list, max_length=MOST_COLUMNS)
    """The columns in their order; empty: the default ones."""
    pin: list[ColumnName] = Field(default_factory=list, max_length=MOST_COLUMNS)
    """The columns that stay at the left when the table is scrolled."""

    @property
    def expression(self) -> str:
        """All that filters it, as one filter. Raises WrongExpression if no filter can say it."""
        chosen = {name: getattr(self, name) for name in CHOICES}
        search = self.q.strip()[:MOST_TEXT]
        if any("'" in value and '"' in value for value in (search, *chosen.values())):
            raise WrongExpression("a text with both kinds of quotes cannot stand in a filter")
        said = [f"{name} = {quoted(value)}" for name, value in chosen.items() if value]
        if search:
            said.append(f"(name ~ {quoted(search)} or id ~ {quoted(search)})")
        if self.since in PERIODS:
            said.append(f"age < {PERIODS[self.since]}s")
        if self.filter.strip():
            read(self.filter)  # between parentheses, `a = 1) or (b = 2` would be one
            said.append(f"({self.filter})")
        whole = " and ".join(said)
        if whole:
            read(whole)
        return whole


class DefaultView(Document):
    """The view that the table of experiments opens with, for one user."""

    view: str = Field(max_length=64)
    """The id of the saved view."""
