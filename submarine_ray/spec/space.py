"""Search spaces: what a sweep may try. Plain functions and no pydantic: the runner draws from them in the cluster.

A space is an object of domains by parameter: `{"lr": {"type": "loguniform", "low": 1e-4, "high": 0.1}}`. A value of a
`choice` may be an object whose fields are constants or domains of their own; those count only where it is chosen.
Parameters inside of it are named with dots: `optimizer.momentum`.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from statistics import NormalDist
from typing import SupportsFloat, TypedDict, TypeGuard

from submarine_ray.spec import commands
from submarine_ray.spec.json_types import Json, JsonObject


class Domain(TypedDict, total=False):
    """What a parameter may be: `type`, and the fields that FIELDS lists for it."""

    type: str
    low: float
    high: float
    q: float
    mean: float
    sd: float
    values: list[Json]


Space = Mapping[str, Json]
# Of a domain, something between 0 and 1 or one of its values' positions; see `draw`.
Chooser = Callable[[str, Domain], float]

FIELDS = {
    "uniform": ("low", "high"),
    "loguniform": ("low", "high"),
    "quniform": ("low", "high", "q"),
    "randint": ("low", "high"),
    "normal": ("mean", "sd"),
    "choice": ("values",),
    "grid": ("values",),
}
PLACEHOLDER = re.compile(r"\{\{\s*(\*?[A-Za-z_][\w.-]*)\s*\}\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
LEARNING = ("tpe", "cma-es", "bayesian")  # algorithms that learn from the trials before
_WHOLE = ("randint",)
MAX_VALUES = 1000
MAX_DEPTH = 5
# How far out a normal distribution is drawn: less than one in a million lies beyond.
EDGE = 1e-6


def is_domain(value: object) -> TypeGuard[Domain]:
    return isinstance(value, Mapping) and value.get("type") in FIELDS


def normalized(space: Space, path: str = "", depth: int = 0) -> JsonObject:
    """The space with its numbers as numbers (YAML reads 1e-4 as text). Raises ValueError naming what is wrong."""
    if depth > MAX_DEPTH:
        raise ValueError(f"{path}: is nested more than {MAX_DEPTH} deep")
    found: JsonObject = {}
    for name, domain in space.items():
        where = f"{path}{name}"
        if not _NAME.fullmatch(str(name)):
            raise ValueError(f"{where[:120]!r} cannot name a parameter: use letters, digits, '_' and '-'")
        if path and not (isinstance(domain, Mapping) and "type" in domain):
            found[name] = domain  # a constant of the branch that was chosen
        else:
            found[name] = _domain(domain, where, depth)
    return found


def _domain(domain: Json, where: str, depth: int) -> JsonObject:
    if not isinstance(domain, Mapping) or "type" not in domain:
        raise ValueError(f"{where}: is no domain; write for example {{type: uniform, low: 0, high: 1}}")
    kind = str(domain["type"]).lower()
    if kind not in FIELDS:
        raise ValueError(f"{where}.type: {str(domain['type'])[:80]!r} is unknown; use {', '.join(FIELDS)}")
    fields = FIELDS[kind]
    if unknown := set(domain) - {"type", *fields}:
        raise ValueError(f"{where}: {kind} has no {min(unknown, key=str)!r}; it has {', '.join(fields)}")
    if missing := [field for field in fields if field not in domain]:
        raise ValueError(f"{where}: {kind} needs {missing[0]!r}")
    if fields == ("values",):
        return {"type": kind, "values": _values(domain["values"], where, depth)}
    numbers = {field: _number(domain[field], f"{where}.{field}", kind) for field in fields}
    if kind == "normal":
        if numbers["sd"] <= 0:
            raise ValueError(f"{where}.sd: must be above 0")
    elif numbers["low"] >= numbers["high"]:
        raise ValueError(f"{where}: low {numbers['low']:g} is not below high {numbers['high']:g}")
    if kind == "loguniform" and numbers["low"] <= 0:
        raise ValueError(f"{where}.low: a logarithmic range begins above 0")
    if kind == "quniform" and not 0 < numbers["q"] <= numbers["high"] - numbers["low"]:
        raise ValueError(f"{where}.q: the step must be above 0, and no larger than high - low")
    return {"type": kind, **numbers}


def _values(values: Json, where: str, depth: int) -> list[Json]:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{where}.values: must be a list with at least one value")
    if len(values) > MAX_VALUES:
        raise ValueError(f"{where}.values: has {len(values)} values; at most {MAX_VALUES} are taken")
    return [normalized(value, f"{where}.", depth + 1) if isinstance(value, Mapping) else value for value in values]


def _number(value: Json, where: str, kind: str) -> float:
    whole = kind in _WHOLE
    if kind == "quniform" and _is_whole(value):
        return int(str(value))  # a range of whole numbers with a whole step has whole numbers
    try:
        if isinstance(value, bool) or not isinstance(value, str | SupportsFloat):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: {str(value)[:80]!r} is not a number") from None
    if not math.isfinite(number) or (whole and not number.is_integer()):
        raise ValueError(f"{where}: {value} is not {'an integer' if whole else 'finite'}")
    return int(number) if whole else number


def _is_whole(value: Json) -> bool:
    """Whether a number is written without a fraction: `16`, and not `16.0`."""
    if isinstance(value, str):
        return bool(re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", value))
    return isinstance(value, int) and not isinstance(value, bool)


def domains(space: Space, path: str = "") -> Iterator[tuple[str, Domain]]:
    """Every domain with its dotted name, those inside of choices after theirs."""
    for name, domain in space.items():
        if is_domain(domain):
            yield f"{path}{name}", domain
            for value in domain.get("values", ()):
                if isinstance(value, Mapping):
                    yield from domains(value, f"{path}{name}.")


def names(space: Space, path: str = "") -> set[str]:
    """Every dotted name that a trial's parameters may have: constants of a branch too."""
    found = set()
    for name, domain in space.items():
        found.add(f"{path}{name}")
        for value in domain.get("values", ()) if is_domain(domain) else ():
            if isinstance(value, Mapping):
                found |= names(value, f"{path}{name}.")
    return found


def draw(space: Space, choose: Chooser, path: str = "") -> JsonObject:
    """One trial's parameters; `choose` gives a domain's point.

    A point is a position for `choice` and `grid`, a probability for `normal`, else a number near the one to try.
    """
    found: JsonObject = {}
    for name, domain in space.items():
        where = f"{path}{name}"
        if not is_domain(domain):
            found[name] = domain
            continue
        point = choose(where, domain)
        if "values" in domain:
            value = domain["values"][int(point)]
            found[name] = draw(value, choose, f"{where}.") if isinstance(value, Mapping) else value
        elif domain["type"] == "normal":
            found[name] = NormalDist(domain["mean"], domain["sd"]).inv_cdf(point)
        else:
            found[name] = settled(domain, point)
    return found


def settled(domain: Domain, value: float) -> float:
    """The nearest value that a domain with bounds has: whole where it must be, and on its steps.

    Steps are those that a person would count, without the error of binary fractions: 0, 0.1, 0.2, 0.3.
    """
    low, high, step = domain["low"], domain["high"], domain.get("q", 1)
    if domain["type"] == "randint":
        return int(min(max(round(value), low), high - 1))
    if domain["type"] != "quniform":
        return min(max(value, low), high)
    most = math.floor((high - low) / step + 1e-9)
    steps = min(max(round((value - low) / step), 0), most)
    if isinstance(low, int) and isinstance(step, int):
        return low + steps * step
    return float(Decimal(repr(low)) + steps * Decimal(repr(step)))


def random_chooser(source: random.Random, fixed: Mapping[str, int]) -> Chooser:
    """Draws at random; domains in `fixed` have the position given there."""

    def choose(name: str, domain: Domain) -> float:
        match domain["type"]:
            case "choice" | "grid":
                return fixed[name] if name in fixed else source.randrange(len(domain["values"]))
            case "randint":
                return source.randrange(int(domain["low"]), int(domain["high"]))
            case "normal":
                return source.uniform(EDGE, 1 - EDGE)
            case "loguniform":
                return math.exp(source.uniform(math.log(domain["low"]), math.log(domain["high"])))
            case "quniform":
                steps = math.floor((domain["high"] - domain["low"]) / domain["q"] + 1e-9)
                return domain["low"] + source.randint(0, steps) * domain["q"]
        return source.uniform(domain["low"], domain["high"])

    return choose


def combinations(space: Space, kinds: tuple[str, ...], path: str = "") -> Iterator[dict[str, int]]:
    """Every combination of positions of the domains of these kinds, as a grid has them."""
    axes = []
    for name, domain in space.items():
        where = f"{path}{name}"
        if is_domain(domain) and domain["type"] in kinds:
            axes.append(
                [
                    {where: position, **below}
                    for position, value in enumerate(domain["values"])
                    for below in (combinations(value, kinds, f"{where}.") if isinstance(value, Mapping) else iter([{}]))
                ]
            )
    for combination in itertools.product(*axes):
        yield {name: position for axis in combination for name, position in axis.items()}


def samples(space: Space, count: int, seed: int | None, grid: bool) -> list[JsonObject]:
    """The trials' parameters of a search that learns nothing: `count` for each combination of the grid's values.

    With `grid`, choices are axes of the grid too.
    """
    source = random.Random(seed)  # noqa: S311 (nobody has to guess these)
    kinds = ("grid", "choice") if grid else ("grid",)
    fixed = list(combinations(space, kinds))
    return [draw(space, random_chooser(source, one)) for _ in range(count) for one in fixed]


def trials(space: Space, samples: int, algorithm: str) -> int:
    """How many trials so many samples are: with a grid, so many for each combination of its values."""
    if algorithm in LEARNING:
        return samples
    kinds = ("grid", "choice") if algorithm == "grid" else ("grid",)
    return samples * sum(1 for _ in combinations(space, kinds))


def flat(params: Mapping[str, Json], path: str = "") -> JsonObject:
    """Nested parameters by their dotted names."""
    found: JsonObject = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = value
    return found


def above(dotted: Iterable[str]) -> set[str]:
    """These names, and each that one of them is a part of: of `a.b`, `a` too. None is deeper than a space can be."""
    found = set()
    for name in dotted:
        parts = name.split(".", MAX_DEPTH + 2)
        found |= {name} | {".".join(parts[:end]) for end in range(1, min(len(parts), MAX_DEPTH + 3))}
    return found


def used(texts: list[str]) -> set[str]:
    """The names that placeholders of these texts ask for."""
    return {match.removeprefix("*") for text in texts for match in PLACEHOLDER.findall(text)}


def fill(text: str, params: Mapping[str, Json]) -> str:
    """The text with each placeholder's value in place; one that has none in this trial leaves nothing."""
    values = _values_by_name(params)
    return PLACEHOLDER.sub(lambda match: values.get(match[1].removeprefix("*"), ""), text)


def fill_command(command: str, params: Mapping[str, Json], shell: bool = False) -> str:
    """The same for a command: values stay one word, and a parameter that this trial has not takes its option with it.

    With `--momentum {{optimizer.momentum}}`, a trial of another optimizer gets no `--momentum` at all.
    """
    return commands.fill(command, shell, PLACEHOLDER, _values_by_name(params).get)


def _values_by_name(params: Mapping[str, Json]) -> dict[str, str]:
    """Every name's value as text; of a branch, its JSON."""
    found = {name: as_text(value) for name, value in flat(params).items()}
    for name, value in _branches(params):
        found[name] = json.dumps(value)
    return found


def _branches(params: Mapping[str, Json], path: str = "") -> Iterator[tuple[str, Mapping[str, Json]]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield f"{path}{name}", value
            yield from _branches(value, f"{path}{name}.")


def as_text(value: object) -> str:
    """A value as a command gets it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
