"""What validation found, as sentences to put beside fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from nicegui.elements.mixins.validation_element import ValidationElement
from pydantic import BaseModel, ValidationError

from submarine_ray.spec.problems import sentence
from submarine_ray.workbench.parts import Value, field_problem

Document = TypeVar("Document", bound=BaseModel)


def parsed(model: type[Document], document: Mapping[str, object], field: ValidationElement[Value]) -> Document | None:
    """What a form says as its model; or None, with the first thing that is wrong beside `field`."""
    field_problem(field, None)
    try:
        return model.model_validate(document)
    except ValidationError as failure:
        field_problem(field, sentence(failure.errors()[0]))
        return None


def all_problems(failure: ValidationError) -> str:
    """Everything that is wrong, a line each."""
    return "\n".join(sentence(item) for item in failure.errors()[:10])
