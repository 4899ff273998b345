from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submarine_ray.spec.quantities import Resources, memory_text, parse_memory, parse_resources, resources_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu=1,memory=1024M,nvidia.com/gpu=1", Resources(1, 1024 * 10**6, 1)),
        ("cpu=500m", Resources(0.5)),
        ("memory=2Gi", Resources(memory=2 * 2**30)),
        ("memory=1.5G, cpu=2", Resources(2, 1_500_000_000)),
        ("gpu=2", Resources(gpu=2)),
        ("gpu=0.5", Resources(gpu=0.5)),
        ("nvidia.com/gpu=0,cpu=1", Resources(1)),
        ("", Resources(0, 0, 0)),
    ],
)
def test_documented_quantities(text: str, expected: Resources) -> None:
    assert parse_resources(text) == expected


def test_nothing_is_asked_for_unless_it_is_said() -> None:
    assert Resources() == Resources(cpu=0, memory=0, gpu=0)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cpu=abc", "cpu='abc'"),
        ("memory=12XB", "memory='12XB'"),
        ("cpu=0", "more than zero"),
        ("cpu=-1", "cpu='-1'"),
        ("disk=3", "unknown resource 'disk'"),
        ("cpu", "not key=value"),
        ("cpu=", "not key=value"),
        ("=1", "unknown resource ''"),
        ("cpu=1,cpu=2", "twice"),
        ("gpu=1.5", "whole number"),
    ],
)
def test_wrong_quantities_name_the_part(text: str, part: str) -> None:
    with pytest.raises(ValueError, match=part.replace("(", r"\(")):
        parse_resources(text)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_a_value_error(text: str) -> None:
    try:
        assert parse_resources(text).cpu >= 0
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (Resources(0.5, 2 * 2**30, 1), "cpu=0.5,memory=2Gi,nvidia.com/gpu=1"),
        (Resources(memory=1536 * 2**20), "memory=1536Mi"),
        (Resources(memory=1500 * 10**6), "memory=1500M"),
        (Resources(memory=1_500_000_001), "memory=1500000001"),
        (Resources(), ""),
    ],
)
def test_what_is_answered_is_what_was_asked_for(size: Resources, text: str) -> None:
    assert resources_text(size) == text and parse_resources(text) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7),
        ("1k", 1000),
        ("1K", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1Ki", 1 << 10),
        ("1Mi", 1 << 20),
        ("1Gi", 1 << 30),
        ("1Ti", 1 << 40),
        ("1Pi", 1 << 50),
        ("1.5G", 1500000000),
    ],
)
def test_each_unit_of_memory(text: str, size: int) -> None:
    assert parse_memory(text) == size
    assert parse_memory(memory_text(size)) == size


def test_memory_is_told_in_the_largest_unit_that_is_exact() -> None:
    assert [memory_text(size) for size in (2 << 30, 1_500_000_000, 1_000, 1, 1 << 20)] == [
        "2Gi",
        "1500M",
        "1k",
        "1",
        "1Mi",
    ]
