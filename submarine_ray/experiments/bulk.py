"""Changes of many experiments at once: each by itself, as if a user had made them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from submarine_ray.core.errors import Conflict, InvalidSpec, SubmarineError, Unavailable
from submarine_ray.experiments.listing import ExperimentTable
from submarine_ray.spec.actions import BulkAction
from submarine_ray.spec.bulk import MOST, BulkChange, BulkFailure, BulkResult
from submarine_ray.spec.filters import TableQuery

_TOLD = 100


class BulkChanges:
    """`tag`, `stop` and `delete` change one experiment; they raise SubmarineError for one that cannot be changed."""

    def __init__(
        self,
        table: ExperimentTable,
        tag: Callable[[str, str, bool], object],
        stop: Callable[[str], object],
        delete: Callable[[str], object],
    ) -> None:
        self._table = table
        self._tag = tag
        self._stop = stop
        self._delete = delete

    def matching(self, query: TableQuery) -> list[str]:
        """The ids of all experiments of a table. Raises InvalidSpec if there are more than may be changed at once."""
        found = self._table.ids(query, MOST + 1)
        if len(found) > MOST:
            raise InvalidSpec(f"more than {MOST:,} experiments match; narrow it, and change them in parts", "filter")
        return found

    def apply(self, action: BulkAction, ids: Sequence[str], tag: str | None = None) -> BulkResult:
        """Change some experiments. One that cannot be changed holds up no other; a database that is away ends it.
        Raises Unavailable.
        """
        changed = skipped = 0
        failures: list[BulkFailure] = []
        for id in dict.fromkeys(ids):
            try:
                self._change(action, id, tag)
                changed += 1
            except Unavailable:
                raise
            except Conflict as failure:
                if action is BulkAction.STOP:
                    skipped += 1
                else:
                    failures.append(BulkFailure(experiment_id=id, message=str(failure)))
            except SubmarineError as failure:
                failures.append(BulkFailure(experiment_id=id, message=str(failure)))
        return BulkResult(changed=changed, skipped=skipped, failures=failures[:_TOLD], failed=len(failures))

    def change(self, asked: BulkChange, query: TableQuery | None) -> BulkResult:
        """What a request asks for; `query` is its filter, read. Raises InvalidSpec, Unavailable."""
        ids = self.matching(query) if query is not None else asked.ids or []
        return self.apply(asked.action, ids, asked.tag)

    def _change(self, action: BulkAction, id: str, tag: str | None) -> None:
        match action:
            case BulkAction.STOP:
                self._stop(id)
            case BulkAction.DELETE:
                self._delete(id)
            case _:
                self._tag(id, tag or "", action is BulkAction.TAG)
