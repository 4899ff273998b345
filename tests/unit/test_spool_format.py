"""What a replica writes is what the service reads: through the spool's lines, and through a batch over HTTP."""

from __future__ import annotations

import json
import math
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from submarine_ray.core.errors import InvalidSpec, TooLarge
from submarine_ray.spec.batch import MetricBatch
from submarine_ray.spec.records import Metric, Param, Record
from submarine_ray.spec.spool.batches import FIELDS, MAX_KEYS, MAX_POINTS, Batch, Points, Row
from submarine_ray.spec.spool.lines import PIECE_BYTES, first, metric, read, written
from submarine_ray.tracking.batches import expanded, parsed

INT64 = 2**63
KEYS = st.text("abAB01_-. /:äß漢", min_size=1, max_size=12).filter(lambda key: _can_name(key))
METRICS = st.builds(
    Metric,
    key=KEYS,
    value=st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0]),
    step=st.integers(-INT64, INT64 - 1),
    timestamp=st.integers(0, INT64 - 1),
)
PARAMS = st.builds(Param, key=KEYS, value=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
# What others may write into the file: damaged, too large for the store, or no text at all.
ODD = [
    b"", b"{}", b"[1", b'["a"]', b'["a", 1.0, 2, 3, 4]', b"\xff\xfe", b"null", b"[" * 5000, b'["loss", torn',
    b'["a", 1.0, 99999999999999999999, 1]', b'["a", 1.0, 1, -1]', b'["a", 1e999999999999, 1.5, 1]',
    b'["\\ud800", 1.0, 1, 1]', b'["a", "\\ud800"]', b'["a//b", 1.0, 1, 1]', b'[["a"], 1.0, 1, 1]',
    b'["a", ' + b"9" * 400 + b", 1, 1]", b'["a", "one", 1, 1]',
]  # fmt: skip


def _can_name(key: str) -> bool:
    try:
        return Metric.checked(key, 0.0).key == key
    except ValueError:
        return False


def _told(record: Record | Row) -> str:
    """NaN equals nothing, so records are compared as they are written."""
    return repr(metric(record)) if isinstance(record, tuple) else repr(record)


def _check_key(_key: str, _number: int) -> None:
    pass


@settings(max_examples=40, deadline=None)
@given(st.lists(METRICS | PARAMS, max_size=30), st.sampled_from([b"", b'["loss", 0.', b'["loss", 0.5, 1, 1']))
def test_lines_are_read_as_they_were_written(records: list[Record], cut_off: bytes) -> None:
    data = b"".join(map(written, records)) + cut_off
    piece = first(data, 7)
    if not records:
        assert piece is None
        return
    assert piece and piece.refused == [] and piece.end == 7 + len(data) - len(cut_off)
    assert [_told(row) for row in piece.rows] == [_told(one) for one in records if isinstance(one, Metric)]
    assert piece.params == [one for one in records if isinstance(one, Param)]
    assert [read(written(one)) for one in piece.params] == piece.params
    ends = dict(zip(piece.ends, map(_told, piece.rows), strict=True))
    end = 7
    for record in records:  # each row ends where its line does: from there on the next sender goes on
        end += len(written(record))
        assert not isinstance(record, Metric) or ends[end] == _told(record)


@settings(max_examples=40, deadline=None)
@given(st.lists(METRICS, max_size=30), st.none() | st.integers(0, 9), st.integers(10, INT64 - 1))
def test_a_batch_is_read_as_it_was_written(records: list[Metric], after: int | None, sequence: int) -> None:
    rows = [(one.key, one.value, one.step, one.timestamp) for one in records]
    sent = Batch("worker-0", after, sequence, Points.of(rows)).written()
    for body, encoding in ((sent, ""), (zlib.compress(sent, 1), "deflate")):
        found = parsed(expanded(body, encoding), _check_key)
        assert (found.writer, found.after, found.sequence) == ("worker-0", after, sequence)
        assert [_told(row) for row in found.points.rows()] == [_told(row) for row in rows]
    documented = MetricBatch.model_validate_json(sent)
    assert documented.keys == list(found.points.keys) and documented.step == list(found.points.step)


@pytest.mark.parametrize("line", ODD)
def test_a_damaged_line_costs_itself_alone(line: bytes) -> None:
    with pytest.raises(ValueError, match="a damaged record"):
        read(line + b"\n")
    before, after = Metric("loss", 0.5, 1, 2), Metric("loss", math.nan, 2, 3)
    data = written(before) + line + b"\n" + written(Param("lr", "0.1")) + written(after)
    piece = first(data, 0)
    assert piece and piece.end == len(data) and piece.params == [Param("lr", "0.1")]
    assert [_told(row) for row in piece.rows] == [_told(before), _told(after)]
    assert len(piece.refused) == bool(line)  # an empty one is nobody's


def test_a_line_that_never_ends_is_passed_over() -> None:
    assert first(b"x" * (PIECE_BYTES - 1), 0) is None  # the rest may be on its way
    piece = first(b"x" * PIECE_BYTES, 3)
    assert piece and piece.end == 3 + PIECE_BYTES and "without an end" in piece.refused[0]


def test_the_documented_batch_has_the_fields_that_are_read() -> None:
    assert set(MetricBatch.model_fields) == FIELDS == json.loads(Batch("w", 0, 1, Points.of([])).written()).keys()


def test_what_a_batch_cannot_hold_is_named() -> None:
    rows: list[Row] = [("a", 1.0, 1, 1)]
    for steps, error, place in (([2**63], InvalidSpec, "step[0]"), ([True], InvalidSpec, "step[0]")):
        points = Points(["a"], [0], steps, [1], [1.0])
        with pytest.raises(error, match="of 'a' is not a whole number of 64 bits") as failure:
            parsed(Batch("w", None, 1, points).written(), _check_key)
        assert place in str(failure.value)
    many = Points.of(rows * (MAX_POINTS + 1))
    with pytest.raises(TooLarge, match=f"key: the batch has {MAX_POINTS + 1} points"):
        parsed(Batch("w", None, 1, many).written(), _check_key)
    names = Points.of([(f"m{number}", 1.0, 1, 1) for number in range(MAX_KEYS + 1)])
    with pytest.raises(TooLarge, match=f"keys: the batch has {MAX_KEYS + 1} names"):
        parsed(Batch("w", None, 1, names).written(), _check_key)
