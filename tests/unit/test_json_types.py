"""How a nested value of a document is read."""

from __future__ import annotations

from submarine_ray.spec.json_types import object_at, objects_at, text_at, value_at

DOCUMENT = {"meta": {"name": "mnist", "tags": ["a"], "replicas": 2}, "parts": [{"id": 1}, "no object"], "none": None}


def test_a_value_is_found_by_its_path() -> None:
    assert value_at(DOCUMENT, "meta", "replicas") == 2
    assert object_at(DOCUMENT, "meta")["name"] == text_at(DOCUMENT, "meta", "name") == "mnist"
    assert objects_at(DOCUMENT, "parts") == [{"id": 1}]


def test_what_is_not_there_or_of_another_type_is_empty() -> None:
    assert value_at(DOCUMENT, "meta", "name", "first") is None
    assert value_at(DOCUMENT, "nowhere", "name") is None
    assert object_at(DOCUMENT, "parts") == object_at(DOCUMENT, "none") == {}
    assert objects_at(DOCUMENT, "meta") == []
    assert text_at(DOCUMENT, "meta", "replicas") == text_at(DOCUMENT, "nowhere") == ""
