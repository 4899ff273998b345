"""A batch of points as it comes over HTTP: expanded within bounds, and checked as MLflow checks a log-batch."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

import orjson

from submarine_ray.core.errors import InvalidSpec, TooLarge
from submarine_ray.spec.json_types import Json, JsonObject
from submarine_ray.spec.numbers import INFINITY, MINUS_INFINITY, NAN
from submarine_ray.spec.points import LISTS, MAX_EXPANDED_BYTES, MAX_KEYS, MAX_POINTS, OBJECTS, Points

_WRITER = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_INT64 = 2**63
_ODD = {NAN: float(NAN), INFINITY: float(INFINITY), MINUS_INFINITY: float(MINUS_INFINITY)}
_FIELDS = frozenset({"writer", "after", "sequence", "keys", "key", "step", "timestamp", "value"})
_EXPANDED = ("", "identity")
_COMPRESSED = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 47  # zlib's wbits: whichever the first bytes say
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Batch:
    """Points, and where they stand among those of their writer; see spec/points.py."""

    writer: str
    after: int | None
    sequence: int
    points: Points


def expanded(body: bytes, encoding: str) -> bytes:
    """A request's body without its compression. Raises InvalidSpec, TooLarge as soon as it is over the limit."""
    encoding = encoding.strip().lower()
    if encoding in _EXPANDED:
        found, is_whole, rest = body[: MAX_EXPANDED_BYTES + 1], True, b""
    elif encoding in _COMPRESSED:
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            found = stream.decompress(body, MAX_EXPANDED_BYTES + 1)
        except zlib.error as failure:
            raise InvalidSpec(f"it is not {encoding}: {failure}", "the body") from failure
        is_whole, rest = stream.eof, stream.unused_data
    else:
        raise InvalidSpec(f"{encoding[:_SHOWN]!r} is not understood; use gzip, deflate or none", "Content-Encoding")
    if len(found) > MAX_EXPANDED_BYTES:
        raise TooLarge(f"The batch is larger than {MAX_EXPANDED_BYTES} bytes when expanded; send several.")
    if not is_whole or rest:
        raise InvalidSpec("its compressed form is cut off, or something follows it", "the body")
    return found


def parsed(body: bytes, check_key: Callable[[str, int], None]) -> Batch:
    """The batch that a body of JSON holds. `check_key` raises for a name, with its place in `keys`, that is none.

    Raises InvalidSpec, which names the field and the place; TooLarge.
    """
    document = _document(body)
    writer, sequence, after = checked_writer(document.get("writer")), document.get("sequence"), document.get("after")
    if not _is_whole(sequence) or sequence < 1:
        raise InvalidSpec(f"{_shown(sequence)} is not a whole number of 64 bits above 0", "sequence")
    if after is not None and not (_is_whole(after) and 0 <= after < sequence):
        raise InvalidSpec(f"{_shown(after)} is not a whole number from 0 on and below sequence", "after")
    return Batch(writer, after, sequence, _points(document, check_key))


def checked_writer(writer: object) -> str:
    """The name of a writer. Raises InvalidSpec."""
    if not isinstance(writer, str) or not _WRITER.fullmatch(writer):
        raise InvalidSpec(f"{_shown(writer)} names no writer: use 1 to 64 letters, digits, '_', '-' and '.'", "writer")
    return writer


def _document(body: bytes) -> JsonObject:
    if body.count(b"[") > LISTS or body.count(b"{") > OBJECTS:  # before it costs memory to find out
        raise InvalidSpec("it is one object, with lists of plain values alone", "the body")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as failure:
        raise InvalidSpec(f"it is not JSON: {failure}", "the body") from failure
    if not isinstance(document, dict):
        raise InvalidSpec("it is not an object", "the body")
    if unknown := sorted(document.keys() - _FIELDS):
        raise InvalidSpec(f"there is no such field; there are {', '.join(sorted(_FIELDS))}", unknown[0][:_SHOWN])
    return document


def _points(document: JsonObject, check_key: Callable[[str, int], None]) -> Points:
    columns = {name: _column(document, name) for name in ("keys", "key", "step", "timestamp", "value")}
    count = len(columns["key"])
    if count > MAX_POINTS:
        raise TooLarge(f"key: the batch has {count} points; at most {MAX_POINTS} are taken at once.")
    if len(columns["keys"]) > MAX_KEYS:
        raise TooLarge(f"keys: the batch has {len(columns['keys'])} names; at most {MAX_KEYS} are taken at once.")
    for name in ("step", "timestamp", "value"):
        if len(columns[name]) != count:
            raise InvalidSpec(f"it has {len(columns[name])} entries, and key has {count}", name)
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
        raise InvalidSpec("it is not a list", name)
    return found


def _names(column: list[Json], check_key: Callable[[str, int], None]) -> list[str]:
    found: dict[str, None] = {}
    for number, one in enumerate(column):
        if not isinstance(one, str):
            raise InvalidSpec(f"{_shown(one)} is not a text", f"keys[{number}]")
        check_key(one, number)
        if one in found:
            raise InvalidSpec(f"{_shown(one)} is there twice", f"keys[{number}]")
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
    raise InvalidSpec(f"{whose} {why}", f"{name}[{number}]")


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
            raise InvalidSpec(
                f"{_shown(one)} {of(number)} is not a number, 'NaN', 'Infinity' or '-Infinity'", f"value[{number}]"
            )
    return found


def _is_whole(value: object) -> TypeGuard[int]:
    return type(value) is int and -_INT64 <= value < _INT64


def _shown(value: object) -> str:
    return repr(value)[:_SHOWN]
