"""The field of a template's parameter: what its type, its choices and its bounds make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from submarine_ray.spec.answers.templates import StoredParameter
from submarine_ray.spec.masks import HIDDEN
from submarine_ray.spec.parameters import TRUTHS, ParameterType
from submarine_ray.spec.templates import TemplateParameter

Field = ui.input | ui.select


def draw_parameter(stored: StoredParameter, changed: Callable[..., Any]) -> Field:
    """Draw the field; `changed` is called when its value has changed."""
    parameter = TemplateParameter.model_validate(stored.model_dump(by_alias=True))
    label, value = parameter.name + (" *" if parameter.required == "true" else ""), parameter.value or ""
    choices = parameter.choices or (TRUTHS if parameter.kind is ParameterType.BOOLEAN else None)
    field: Field
    if choices:
        field = ui.select([*dict.fromkeys([*choices, value])], label=label, value=value, on_change=changed)
        field.props("outlined dense options-dense")
    else:
        hidden = value == HIDDEN
        field = ui.input(label, value=value, password=hidden, on_change=changed).props("outlined dense debounce=250")
        if parameter.kind in (ParameterType.INTEGER, ParameterType.NUMBER):
            field.props("inputmode=decimal")
    if hint := _hint(parameter):
        field._props["hint"] = hint
    return field


def _hint(parameter: TemplateParameter) -> str:
    """What it is for, and which numbers it may be."""
    low, high = parameter.minimum, parameter.maximum
    bounds = f"{low:g} to {high:g}" if low is not None and high is not None else ""
    bounds = bounds or (f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else "")
    return " · ".join(filter(None, (parameter.description, bounds)))
