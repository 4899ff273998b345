"""What validation found, as sentences to put beside fields."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from submarine_ray.spec.problems import sentence
from submarine_ray.workbench.parts import field_problem

Document = TypeVar("Document", bound=BaseModel)


def parsed(model: type[Document], document: dict[str, Any], field: Any) -> Document | None:
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
