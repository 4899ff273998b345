"""Batches of points, as they are sent to `POST /api/v1/run/{id}/batch`: one JSON document of columns, with names once.

    {"writer": "a1b2", "after": 0, "sequence": 3, "keys": ["loss", "acc"],
     "key": [0, 1, 0], "step": [1, 1, 2], "timestamp": [1790000000000, ...], "value": [0.5, "NaN", 0.25]}

A writer's sequence numbers grow. What it sends again, because an answer was lost, is stored once: the store keeps the
number of the last batch of each writer with the points themselves.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from submarine_ray.spec.json_types import Json, JsonObject
from submarine_ray.spec.numbers import INFINITY, MINUS_INFINITY, NAN, to_json

MAX_POINTS = 20_000  # in a batch
MAX_KEYS = 2_000
MAX_EXPANDED_BYTES = 4 * 2**20
FIELDS = frozenset({"writer", "after", "sequence", "keys", "key", "step", "timestamp", "value"})

Row = tuple[str, float, int, int]
"""A point: (key, value, step, timestamp in milliseconds since 1970)."""

_LISTS, _OBJECTS = 5, 1
_WRITER = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_INT64 = 2**63
_ODD = {NAN: float(NAN), INFINITY: float(INFINITY), MINUS_INFINITY: float(MINUS_INFINITY)}
_SHOWN = 80


def path(run_id: str) -> str:
    """Where a run's batches are sent, below the service's URL."""
    return f"/api/v1/run/{run_id}/batch"


class WrongBatch(ValueError):
    """A batch that cannot be stored as it is; `field` says where, as in `value[3]`."""

    def __init__(self, why: str, field: str) -> None:
        super().__init__(why)
        self.field = field


class TooMany(WrongBatch):
    """A batch with more points or names than one may have."""


@dataclass(frozen=True, slots=True)
class Points:
    """Some points: `key` has indexes of `keys`; `timestamp` is in milliseconds since 1970."""

    keys: Sequence[str]
    key: Sequence[int]
    step: Sequence[int]
    timestamp: Sequence[int]
    value: Sequence[float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Points:
        """The same points as columns."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(row[0] for row in rows))}
        names, value, step, timestamp = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(list(numbers), [numbers[name] for name in names], step, timestamp, value)

    def __len__(self) -> int:
        return len(self.key)

    def rows(self) -> Iterator[Row]:
        """The same points, one by one."""
        return zip(map(self.keys.__getitem__, self.key), self.value, self.step, self.timestamp, strict=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """Points, and where they stand among those of their writer: `after` is the last number that it knows to be stored,
    None where it does not care.
    """

    writer: str
    after: int | None
    sequence: int
    points: Points

    def written(self) -> bytes:
        """The batch as it is sent, before compression."""
        points = self.points
        finite = all(map(math.isfinite, points.value))
        document = {
            "writer": self.writer,
            "after": self.after,
            "sequence": self.sequence,
            "keys": points.keys,
            "key": points.key,
            "step": points.step,
            "timestamp": points.timestamp,
            "value": points.value if finite else [to_json(one) for one in points.value],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def read(cls, document: object, check_key: Callable[[str, int], None]) -> Batch:
        """The batch that a document holds. `check_key` raises for a name, with its place in `keys`, that is none.

        Raises WrongBatch, TooMany.
        """
        if not isinstance(document, dict):
            raise WrongBatch("it is not an object", "the body")
        if unknown := sorted(document.keys() - FIELDS):
            raise WrongBatch(f"there is no such field; there are {', '.join(sorted(FIELDS))}", unknown[0][:_SHOWN])
        writer = checked_writer(document.get("writer"))
        sequence, after = document.get("sequence"), document.get("after")
        if not _is_whole(sequence) or sequence < 1:
            raise WrongBatch(f"{_shown(sequence)} is not a whole number of 64 bits above 0", "sequence")
        if after is not None and not (_is_whole(after) and 0 <= after < sequence):
            raise WrongBatch(f"{_shown(after)} is not a whole number from 0 on and below sequence", "after")
        return cls(writer, after, sequence, _points(document, check_key))


def check_flat(body: bytes) -> None:
    """Raises WrongBatch for what has more lists and objects than a batch: before it costs memory to find out."""
    if body.count(b"[") > _LISTS or body.count(b"{") > _OBJECTS:
        raise WrongBatch("it is one object, with lists of plain values alone", "the body")


def checked_writer(writer: object) -> str:
    """The name of a writer. Raises WrongBatch."""
    if not isinstance(writer, str) or not _WRITER.fullmatch(writer):
        raise WrongBatch(f"{_shown(writer)} names no writer: use 1 to 64 letters, digits, '_', '-' and '.'", "writer")
    return writer


def _points(document: JsonObject, check_key: Callable[[str, int], None]) -> Points:
    columns = {name: _column(document, name) for name in ("keys", "key", "step", "timestamp", "value")}
    count = len(columns["key"])
    if count > MAX_POINTS:
        raise TooMany(f"the batch has {count} points; at most {MAX_POINTS} are taken at once", "key")
    if len(columns["keys"]) > MAX_KEYS:
        raise TooMany(f"the batch has {len(columns['keys'])} names; at most {MAX_KEYS} are taken at once", "keys")
    for name in ("step", "timestamp", "value"):
        if len(columns[name]) != count:
            raise WrongBatch(f"it has {len(columns[name])} entries, and key has {count}", name)
    keys = _names(columns["keys"], check_key)
    key = _whole(columns["key"], "key", 0, len(keys) - 1, "is not the index of one of keys")

    def of(number: int) -> str:
        return f"of {keys[key[number]]!r}"

    step = _whole(columns["step"], "step", -_INT64, _INT64 - 1, "is not a whole number of 64 bits", of)
    times = _whole(columns["timestamp"], "timestamp", 0, _INT64 - 1, "is not milliseconds since 1970, in 64 bits", of)
    return Points(keys, key, step, times, _numbers(columns["value"], of))


def _column(document: JsonObject, name: str) -> list[Json]:
    found = document.get(name)
    if not isinstance(found, list):
        raise WrongBatch("it is not a list", name)
    return found


def _names(column: list[Json], check_key: Callable[[str, int], None]) -> list[str]:
    found: dict[str, None] = {}
    for number, one in enumerate(column):
        if not isinstance(one, str):
            raise WrongBatch(f"{_shown(one)} is not a text", f"keys[{number}]")
        check_key(one, number)
        if one in found:
            raise WrongBatch(f"{_shown(one)} is there twice", f"keys[{number}]")
        found[one] = None
    return list(found)


def _whole(
    column: list[Json], name: str, low: int, high: int, why: str, of: Callable[[int], str] | None = None
) -> list[int]:
    """The whole numbers of a column, all from `low` to `high`; `of` says whose one is, for the error."""
    if _are_whole(column) and (not column or (min(column) >= low and max(column) <= high)):
        return column
    number = next(n for n, one in enumerate(column) if type(one) is not int or not low <= one <= high)
    whose = f"{_shown(column[number])} {of(number)}" if of else _shown(column[number])
    raise WrongBatch(f"{whose} {why}", f"{name}[{number}]")


def _are_whole(column: list[Json]) -> TypeGuard[list[int]]:
    return set(map(type, column)) <= {int}


def _are_numbers(column: list[Json]) -> TypeGuard[list[float]]:
    return set(map(type, column)) <= {float, int}


def _numbers(column: list[Json], of: Callable[[int], str]) -> list[float]:
    """The values as floats; the texts for what JSON lacks are those of spec/numbers.py."""
    if _are_numbers(column):
        return list(map(float, column))
    found: list[float] = []
    for number, one in enumerate(column):
        if isinstance(one, int | float) and not isinstance(one, bool):
            found.append(float(one))
        elif isinstance(one, str) and one in _ODD:
            found.append(_ODD[one])
        else:
            raise WrongBatch(
                f"{_shown(one)} {of(number)} is not a number, 'NaN', 'Infinity' or '-Infinity'", f"value[{number}]"
            )
    return found


def _is_whole(value: object) -> TypeGuard[int]:
    return type(value) is int and -_INT64 <= value < _INT64


def _shown(value: object) -> str:
    return repr(value)[:_SHOWN]
