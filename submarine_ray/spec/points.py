"""Points of metrics on their way to the store: as columns, with the names once. Standard library only: runners send it.

`POST /api/v1/run/{id}/batch` takes them as JSON, in one document:

    {"writer": "a1b2", "after": 0, "sequence": 3, "keys": ["loss", "acc"],
     "key": [0, 1, 0], "step": [1, 1, 2], "timestamp": [1790000000000, ...], "value": [0.5, "NaN", 0.25]}

A writer's sequence numbers grow. What it sends again, because an answer was lost, is stored once: the store keeps the
number of the last batch of each writer with the points themselves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from submarine_ray.spec.numbers import to_json

MAX_POINTS = 20_000  # in a batch
MAX_KEYS = 2_000
MAX_EXPANDED_BYTES = 4 * 2**20
# What stands before the columns and is no list: a batch has five lists and one object, and nothing inside them.
LISTS, OBJECTS = 5, 1


def path(run_id: str) -> str:
    """Where a run's batches are sent, below the service's URL."""
    return f"/api/v1/run/{run_id}/batch"


def writer_file(spool: Path) -> Path:
    """Beside a spool: the name of its writer."""
    return spool.with_name(f"{spool.name}.writer")


@dataclass(frozen=True, slots=True)
class Points:
    """Some points: `key` has indexes of `keys`; `timestamp` is in milliseconds since 1970."""

    keys: Sequence[str]
    key: Sequence[int]
    step: Sequence[int]
    timestamp: Sequence[int]
    value: Sequence[float]

    @classmethod
    def of(cls, rows: Sequence[tuple[str, float, int, int]]) -> Points:
        """From (key, value, step, timestamp) of each."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(row[0] for row in rows))}
        names, value, step, timestamp = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(list(numbers), [numbers[name] for name in names], step, timestamp, value)

    def __len__(self) -> int:
        return len(self.key)

    def rows(self) -> Iterator[tuple[str, float, int, int]]:
        """(key, value, step, timestamp) of each."""
        return zip(map(self.keys.__getitem__, self.key), self.value, self.step, self.timestamp, strict=True)

    def body(self, writer: str, after: int | None, sequence: int) -> bytes:
        """The batch as it is sent: `after` is the last sequence number that the writer knows to be stored."""
        finite = all(map(math.isfinite, self.value))
        document = {
            "writer": writer,
            "after": after,
            "sequence": sequence,
            "keys": self.keys,
            "key": self.key,
            "step": self.step,
            "timestamp": self.timestamp,
            "value": self.value if finite else [to_json(one) for one in self.value],
        }
        return json.dumps(document, separators=(",", ":")).encode()
