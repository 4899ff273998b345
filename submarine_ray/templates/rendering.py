"""From a template and values to an experiment's spec. Pure functions.

The rules are Submarine's (its ExperimentTemplateManager), but for two: a parameter's value is its default even when it
is required, and GPUs of a template stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec import commands, masks, space
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.json_types import Json, JsonObject, object_in
from submarine_ray.spec.problems import message
from submarine_ray.spec.quantities import GPU_KEY, split_resources
from submarine_ray.spec.templates import NAME, TemplateParameter, TemplateSpec

PLACEHOLDER = re.compile(r"\{\{([^{}\n]*)\}\}")  # no braces inside: each `{{` is searched to the next brace alone
_COMMAND = re.compile(r"meta\.cmd|spec\.[^.]+\.cmd")
# The last part of a parameter's name, and the resource that it is.
_RESOURCES = {"cpu": "cpu", "memory": "memory", "gpu": GPU_KEY}
_DEFAULTS = {"replicas": "1", "cpu": "1", "memory": ""}
# `{{training.workers * training.num_gpu}}`: what all workers need together.
PRODUCT = " * "
MAX_DEPTH = 20
MAX_ROLES = 16


def with_implicit(template: TemplateSpec) -> list[TemplateParameter]:
    """The template's own parameters, and those of each role: how many replicas, how much CPU and memory, and GPUs where
    it has some. GPUs may be given to the others, too; Submarine's list has only the first three.
    """
    named = {parameter.name for parameter in template.parameters}
    implicit = []
    for role, task in _roles(template).items():
        values = _quantities(task, role)
        for key, path in (("replicas", "replicas"), *((key, f"resourceMap.{key}") for key in _RESOURCES)):
            if key not in values:
                continue
            if (name := f"spec.{role}.{path}") not in named:
                implicit.append(TemplateParameter(name=name, required="false", description="", value=values[key]))
    return [*template.parameters, *implicit]


def expanded(base: TemplateSpec, own: TemplateSpec) -> TemplateSpec:
    """`own` put over `base`: a parameter over that of its name, the experiment's spec field by field."""
    parameters = {parameter.name: parameter for parameter in base.parameters}
    for parameter in own.parameters:
        before = parameters.get(parameter.name, parameter)
        parameters[parameter.name] = before.model_copy(update=parameter.model_dump(exclude_unset=True))
    return own.model_copy(
        update={
            "author": own.author or base.author,
            "description": own.description or base.description,
            "needs": own.needs or base.needs,
            "parameters": list(parameters.values()),
            "experiment_spec": _merged(base.experiment_spec, own.experiment_spec),
        }
    )


def _merged(base: Json, own: Json) -> Json:
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def check(template: TemplateSpec) -> None:
    """Raises InvalidSpec for a template that no values could make an experiment of."""
    names = [parameter.name for parameter in template.parameters]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidSpec(f"{min(twice)!r} is given twice", "parameters")
    parameters = with_implicit(template)
    known = {parameter.name for parameter in parameters}
    tried = _tried(template)
    if both := sorted(tried & known):
        raise InvalidSpec(f"{both[0]!r} is a parameter of the template and of its tune.searchSpace", "parameters")
    used = set()
    for path, text in _texts(template.experiment_spec):
        for name in _names(text):
            if name.strip() in tried:
                continue
            if not {name, f"{path}:{name}"} & known:
                raise InvalidSpec(
                    f"{{{{{name}}}}} has no parameter; declare one named {name!r}", f"experimentSpec.{path}"
                )
            used |= {name, f"{path}:{name}"}
        used.add(path)
    for parameter in template.parameters:
        if parameter.value is not None and (wrong := parameter.problem(parameter.value)):
            raise InvalidSpec(f"the value of {parameter.name!r} does not fit: {wrong}", "parameters")
    for name in names:
        if name not in used and not _is_implicit(name, template):
            raise InvalidSpec(f"{name!r} is used nowhere in experimentSpec; write {{{{{name}}}}} there", "parameters")
    if all(parameter.value is not None for parameter in parameters):
        render(template, {})
    else:
        _filled(template.experiment_spec, dict.fromkeys(known, "1") | _later(tried))  # so that its commands can be


def render(template: TemplateSpec, given: Mapping[str, str]) -> ExperimentSpec:
    """The experiment's spec with all values in place. Raises InvalidSpec naming what is missing, unknown or wrong."""
    values = _values(template, given)
    # What a sweep tries is filled in trial by trial: until then it stands for itself.
    document = _filled(template.experiment_spec, values | _later(_tried(template)))
    _mark(template, document)
    for role, task in object_in(document.get("spec")).items():
        if not isinstance(task, dict):
            continue
        if (name := f"spec.{role}.replicas") in values:
            task["replicas"] = values[name]
        names = {resource: f"spec.{role}.resourceMap.{key}" for key, resource in _RESOURCES.items()}
        sizes = {resource: values[name] for resource, name in names.items() if name in values}
        if sizes:
            task["resources"] = _resized(task, role, sizes)
    try:
        return ExperimentSpec.model_validate(document)
    except ValidationError as failure:
        first = failure.errors()[0]
        where = ".".join(map(str, first["loc"])) or "experimentSpec"
        blamed = ", ".join(f"params.{name}" for name in dict.fromkeys(_blamed(template, where, given)))
        said = message(first)
        raise InvalidSpec(f"{said} (from {blamed})" if blamed else said, where) from failure


def _mark(template: TemplateSpec, document: JsonObject) -> None:
    """Variables that secret parameters go into are secret, whatever they are called."""
    secret = {one.name for one in template.parameters if one.secret or masks.looks_secret(one.name)}
    places = {
        "meta": document.get("meta"),
        **{f"spec.{role}": task for role, task in object_in(document.get("spec")).items()},
    }
    for path, text in _texts(template.experiment_spec):
        place, _, variable = path.partition(".envVars.")
        if variable and {path, *_names(text)} & secret and isinstance(found := places.get(place), dict):
            listed = found.get("secretVars")
            found["secretVars"] = [*(listed if isinstance(listed, list) else ()), variable]


def _values(template: TemplateSpec, given: Mapping[str, str]) -> dict[str, str]:
    """Each declared parameter's value, and those implicit ones that were given: the others only repeat the spec."""
    known = [parameter.name for parameter in with_implicit(template)]
    for name in given:
        if "\0" in given[name]:
            raise InvalidSpec("has a NUL character, which no program can be given", f"params.{name[:120]}")
        if name not in known and not _is_implicit(name, template):
            raise InvalidSpec(f"the template has no such parameter; it has {', '.join(known)}", f"params.{name[:120]}")
    values = dict(given)
    for parameter in template.parameters:
        if parameter.name in given and (wrong := parameter.problem(given[parameter.name])):
            raise InvalidSpec(wrong, f"params.{parameter.name}")
        if parameter.name not in values:
            if parameter.value is None and parameter.required == "true":
                raise InvalidSpec("is required, and the template has no value for it", f"params.{parameter.name}")
            values[parameter.name] = parameter.value or ""
    return values


def _later(tried: set[str]) -> dict[str, str]:
    return dict.fromkeys(tried, commands.LATER)


def _tried(template: TemplateSpec) -> set[str]:
    """The names of what the template's sweep tries, if it is one."""
    tune = template.experiment_spec.get("tune")
    search_space = tune.get("searchSpace") if isinstance(tune, dict) else None
    return space.names(search_space) if isinstance(search_space, dict) else set()


def _resized(task: JsonObject, role: str, sizes: dict[str, str]) -> str:
    try:
        whole = split_resources(str(task.get("resources") or "")) | sizes
    except ValueError as failure:
        raise InvalidSpec(str(failure), f"spec.{role}.resources") from failure
    return ",".join(f"{key}={value}" for key, value in whole.items() if value)


def _blamed(template: TemplateSpec, where: str, given: Mapping[str, str]) -> list[str]:
    """The parameters whose values went into the field at `where`."""

    def is_inside(path: str) -> bool:
        return path == where or path.startswith(f"{where}.")

    found = [name for path, text in _texts(template.experiment_spec) if is_inside(path) for name in _names(text)]
    sizes = where.replace(".resources", ".resourceMap.")
    return found + [name for name in given if is_inside(name) or name.startswith(sizes)]


def _is_implicit(name: str, template: TemplateSpec) -> bool:
    return name == NAME or any(
        name in (f"spec.{role}.replicas", *(f"spec.{role}.resourceMap.{key}" for key in _RESOURCES))
        for role in _roles(template)
    )


def _roles(template: TemplateSpec) -> dict[str, JsonObject]:
    written = object_in(template.experiment_spec.get("spec"))
    roles = {role: task for role, task in written.items() if isinstance(task, dict)}
    if not roles or len(roles) < len(written):
        raise InvalidSpec("is required: the roles, each an object", "experimentSpec.spec")
    if len(roles) > MAX_ROLES:
        raise InvalidSpec(f"has {len(roles)} roles; no framework has more than {MAX_ROLES}", "experimentSpec.spec")
    return roles


def _quantities(task: JsonObject, role: str) -> dict[str, str]:
    """A role's replicas and resources as text; what only a placeholder tells has the default."""
    text = str(task.get("resources") or "")
    try:
        sizes = {} if PLACEHOLDER.search(text) else split_resources(text)
    except ValueError as failure:
        raise InvalidSpec(str(failure), f"experimentSpec.spec.{role}.resources") from failure
    replicas = str(task.get("replicas", _DEFAULTS["replicas"]))
    found = {key: sizes.get(resource, _DEFAULTS.get(key)) for key, resource in _RESOURCES.items()}
    return {"replicas": replicas, **{key: value for key, value in found.items() if value is not None}}


def _texts(node: Json, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text of a document, with its path: `meta.cmd`, `spec.Worker.replicas`."""
    if depth > MAX_DEPTH:
        raise InvalidSpec(f"is nested more than {MAX_DEPTH} deep", f"experimentSpec.{path[:120]}")
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _texts(value, f"{path}.{index}", depth + 1)
    elif node is not None:
        yield path, str(node)


def _names(text: str) -> list[str]:
    """The parameters that a text asks for; `{{*name}}` asks for `name`, and `{{one * other}}` for both."""
    return [name.strip().removeprefix("*") if name.strip().startswith("*") else name for name in _found(text)]


def _found(text: str) -> list[str]:
    return [factor for name in PLACEHOLDER.findall(text) for factor in name.split(PRODUCT)]


def _filled(document: JsonObject, values: Mapping[str, str]) -> JsonObject:
    """The document with its placeholders' values; those of commands are quoted. Raises InvalidSpec."""
    framework = _put("meta.framework", object_in(document.get("meta")).get("framework"), values)
    is_shell = str(framework).lower() == "shell"
    return {key: _filled_part(value, key, values, is_shell) for key, value in document.items()}


def _filled_part(node: Json, path: str, values: Mapping[str, str], shell: bool) -> Json:
    if isinstance(node, dict):
        return {key: _filled_part(value, f"{path}.{key}", values, shell) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled_part(value, f"{path}.{index}", values, shell) for index, value in enumerate(node)]
    if not (isinstance(node, str) and _COMMAND.fullmatch(path)):
        return _put(path, node, values)
    if path in values:
        return values[path]
    try:
        return commands.fill(node, shell, PLACEHOLDER, lambda name: _value(path, name, values))
    except ValueError as failure:
        raise InvalidSpec(f"cannot be filled in: {failure}", path) from failure


def _put(path: str, text: Json, values: Mapping[str, str]) -> Json:
    if path in values or not (isinstance(text, str) and PLACEHOLDER.search(text)):
        return values.get(path, text)

    def value(match: re.Match[str]) -> str:
        found = _value(path, match[1].strip().removeprefix("*"), values)
        return f"{{{{{match[1].strip()}}}}}" if found == commands.LATER else found

    # One pass over the template's own text: a value that looks like a placeholder stays as it was given.
    return PLACEHOLDER.sub(value, text)


def _value(path: str, name: str, values: Mapping[str, str]) -> str:
    """What stands for `{{name}}`, or for `{{one * other}}`: the product of two parameters. Raises InvalidSpec."""
    if PRODUCT not in name:
        return values.get(f"{path}:{name}", values.get(name.strip(), ""))
    product = 1.0
    for factor in name.split(PRODUCT):
        text = values.get(factor.strip(), "")
        try:
            product *= float(text)
        except ValueError as failure:
            raise InvalidSpec(f"{text!r} is not a number", f"params.{factor.strip()}") from failure
    return f"{product:g}"
