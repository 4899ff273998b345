"""The spool's lines: a JSON list for each record, `[key, value, step, timestamp]` or `[key, value]` for a parameter.

It is Python's JSON, which has `NaN`, `Infinity` and `-Infinity`. A newline ends a record: a line without one is still
being written, or was cut off by a crash. Lines are read many at once; one by one where something is wrong with some.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from submarine_ray.spec.records import Metric, Param, Record, checked_key, shown
from submarine_ray.spec.spool.batches import MAX_KEYS, MAX_POINTS, Row

PIECE_BYTES = 2**20
_INT64 = 2**63


def written(record: Record) -> bytes:
    """A record's line."""
    if isinstance(record, Metric):
        return json.dumps([record.key, record.value, record.step, record.timestamp]).encode() + b"\n"
    return json.dumps([record.key, record.value]).encode() + b"\n"


def read(line: bytes) -> Record:
    """The record that a line holds. Raises ValueError for one that is damaged, or cannot be stored."""
    try:
        values = json.loads(line)
        if isinstance(values, list) and len(values) in (2, 4):
            return Param.checked(*values) if len(values) == 2 else Metric.checked(*values)
    except (TypeError, ValueError, RecursionError) as failure:
        raise ValueError(f"a damaged record, {shown(line)}: {failure}") from failure
    raise ValueError(f"a damaged record, {shown(line)}")


@dataclass
class Piece:
    """What a spool holds from one offset to another; `ends` tells where each row's line ends."""

    end: int
    rows: Sequence[Row] = ()
    ends: Sequence[int] = ()
    params: list[Param] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def first(data: bytes, offset: int, most: int = MAX_POINTS) -> Piece | None:
    """The first `most` records, at most, of what stands in a spool at `offset`; None if no whole one is there.

    Give it PIECE_BYTES, if there are so many: what is so long without an end is damaged.
    """
    lines = data.split(b"\n", most)
    rest = lines.pop()
    if not lines:
        if len(rest) < PIECE_BYTES:
            return None
        return Piece(offset + len(rest), refused=["a damaged record: a line without an end"])
    ends, end = [], offset
    for line in lines:
        end += len(line) + 1
        ends.append(end)
    rows = _all_at_once(lines)
    return _one_by_one(lines, ends) if rows is None else Piece(end, rows, ends)


def _all_at_once(lines: list[bytes]) -> list[Row] | None:
    """All lines as metrics, if that is what they are; a check of each alone costs five times as much."""
    try:
        found = json.loads(b"[%b]" % b",".join(lines))
    except (ValueError, RecursionError):
        return None
    # Whole lines alone: two torn ones could make one whole record.
    if len(found) != len(lines) or {type(one) for one in found} != {list} or set(map(len, found)) != {4}:
        return None
    keys, values, steps, times = zip(*found, strict=True)
    are_plain = set(map(type, values)) == {float} and set(map(type, steps)) == set(map(type, times)) == {int}
    if not are_plain or not -_INT64 <= min(steps) <= max(steps) < _INT64 or not 0 <= min(times) <= max(times) < _INT64:
        return None
    try:
        names = set(keys)
        if len(names) > MAX_KEYS or {checked_key(name) for name in names} != names:
            return None
    except (TypeError, ValueError):
        return None
    return list(map(tuple, found))


def _one_by_one(lines: list[bytes], ends: list[int]) -> Piece:
    piece = Piece(ends[-1])
    rows: list[Row] = []
    row_ends, names, before = [], set(), 0
    for line, end in zip(lines, ends, strict=True):
        begun, before = before, end
        try:
            record = read(line)
        except ValueError as failure:
            if line:
                piece.refused.append(str(failure))
            continue
        if isinstance(record, Param):
            piece.params.append(record)
            continue
        names.add(record.key)
        if len(names) > MAX_KEYS:
            piece.end = begun
            break
        rows.append((record.key, record.value, record.step, record.timestamp))
        row_ends.append(end)
    piece.rows, piece.ends = rows, row_ends
    return piece


def metric(row: Row) -> Metric:
    """A row as the record that it was."""
    key, value, step, timestamp = row
    return Metric(key, value, step, timestamp)
