"""No text makes a pattern of the control plane slow: each is found, and fed a megabyte of its worst characters.

A pattern that tries again from each character takes 16 times as long for four times the text; what is allowed is
measured by that growth, so that a busy machine fails nothing.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

import submarine_ray
from submarine_ray.spec.words import split

parser = importlib.import_module("re._parser")

# They run as the user, in the user's own processes.
_OTHERS = ("runner", "client", "cli", "ml", "migrations")
# Made of what an operator has set, escaped: letters, and a class of a fixed length.
_OF_SETTINGS = ("submarine_ray.content.origins",)
_SCANS = ("findall", "finditer", "split", "sub")  # they go through the text by the same search: one stands for all
_METHODS = ("match", "fullmatch", "search", "findall", "finditer", "sub", "split")
SIZES = (250, 1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000)
SMALL = 4  # how many of SIZES every candidate is tried at; the slowest go on
GROWTH = 12.0  # per four times the text: 4 is linear, 16 quadratic; what memory costs lies between
NOTICEABLE = 0.01  # seconds; below, a clock tells no growth
TOO_LONG = 1.0  # seconds of the processor's time: no linear pattern needs them, and the next size might need hours


@dataclass(frozen=True)
class Found:
    """A pattern, where it stands, and how it is used."""

    where: str
    pattern: str
    flags: int
    methods: tuple[str, ...]
    is_pydantic: bool = False


def _modules() -> Iterator[tuple[str, Path]]:
    for info in pkgutil.walk_packages(submarine_ray.__path__, "submarine_ray."):
        if info.name.split(".")[1] not in _OTHERS and not info.ispkg:
            spec = importlib.util.find_spec(info.name)
            assert spec and spec.origin
            yield info.name, Path(spec.origin)


def _patterns() -> list[Found]:
    found: list[Found] = []
    trees = {name: ast.parse(path.read_text()) for name, path in _modules()}
    uses = _uses(trees.values())
    for name, tree in trees.items():
        compiled = {
            node.value: target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            where = f"{name}:{node.lineno}"
            if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "re":
                if node.func.attr == "compile":
                    made = _compiled(name, compiled.get(node), node)
                    if made is not None:
                        methods = tuple(sorted(uses.get(compiled.get(node, ""), ()))) or _METHODS
                        found.append(Found(where, made.pattern, made.flags, methods))
                elif node.func.attr in _METHODS:
                    found.append(Found(where, _text_of(name, node), _flags(node), (node.func.attr,)))
            for keyword in node.keywords:
                if keyword.arg == "pattern" and isinstance(keyword.value, ast.Constant):
                    found.append(Found(where, keyword.value.value, 0, (), is_pydantic=True))
    return [one for one in found if isinstance(one.pattern, str)] + [
        Found(one.where, one.pattern.decode("latin-1"), one.flags | re.UNICODE, one.methods)  # type: ignore[attr-defined]
        for one in found
        if isinstance(one.pattern, bytes)
    ]


def _compiled(module: str, name: str | None, node: ast.Call) -> re.Pattern[Any] | None:
    if name is not None and hasattr(imported := importlib.import_module(module), name):
        made = getattr(imported, name)
        return made if isinstance(made, re.Pattern) else None
    if name is None and module in _OF_SETTINGS:
        return None
    return re.compile(_text_of(module, node), _flags(node))


def _text_of(module: str, node: ast.Call) -> Any:
    """The pattern that a call is given, made of what the module has; else it is one that this test cannot see."""
    code = compile(ast.Expression(node.args[0]), f"{module}:{node.lineno}", "eval")
    try:
        return eval(code, dict(vars(importlib.import_module(module))))
    except NameError as failure:
        pytest.fail(f"{module}:{node.lineno}: a pattern must be known when the module is imported: {failure}")


def _flags(node: ast.Call) -> int:
    return sum(
        int(getattr(re, part.attr))
        for one in [*node.args[1:], *(k.value for k in node.keywords if k.arg == "flags")]
        for part in ast.walk(one)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "re"
    )


def _uses(trees: Any) -> dict[str, set[str]]:
    """By a pattern's name: which of its methods are called anywhere. One that is passed on as a value has all."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        called = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
                owner = node.func.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                found.setdefault(name, set()).add(node.func.attr)
                called.add(owner)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Name)
                and isinstance(node.ctx, ast.Load)
                and node.id.isupper()
                and node not in called
            ):
                found.setdefault(node.id, set()).update(_METHODS)
    return found


def _characters(tree: Any) -> Iterator[str]:
    """Characters that the pattern names, one of each class and category."""
    for code, value in tree:
        match str(code):
            case "LITERAL" | "NOT_LITERAL":
                yield chr(value)
            case "IN":
                yield from _characters(value)
            case "RANGE":
                yield from (chr(value[0]), chr(value[1]))
            case "CATEGORY":
                yield {"DIGIT": "7", "SPACE": " ", "WORD": "w"}.get(str(value).rsplit("_", 1)[-1], "!")
            case "ANY":
                yield "."
            case _:
                for part in value if isinstance(value, tuple | list) else ():
                    if isinstance(part, parser.SubPattern):
                        yield from _characters(part)
                    elif isinstance(part, list):
                        for branch in part:
                            yield from _characters(branch)


def _samples(tree: Any, repeat: int = 1) -> str:
    """A text that the pattern, or most of it, matches: what comes before a repetition that goes wrong."""
    made = ""
    for code, value in tree:
        match str(code):
            case "LITERAL":
                made += chr(value)
            case "IN" | "NOT_LITERAL" | "ANY":
                made += next(iter(_characters([(code, value)])), "x")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                made += _samples(value[2]) * max(repeat, value[0])
            case "SUBPATTERN":
                made += _samples(value[3], repeat)
            case "ATOMIC_GROUP":
                made += _samples(value, repeat)
            case "BRANCH":
                made += _samples(value[1][0], repeat)
    return made


def _candidates(pattern: str, flags: int) -> list[tuple[str, str, str]]:
    """What to feed: (beginning, what is repeated, end). Each fails at its end, where going back is worst."""
    tree = parser.parse(pattern, flags & ~re.DEBUG)
    known = list(dict.fromkeys([*_characters(tree), "a", " "]))[:12]
    units = [*known, *(a + b for a, b in itertools.permutations(known, 2))]
    whole = _samples(tree)
    starts = ["", *dict.fromkeys(whole[:n] for n in (1, len(whole) // 2, len(whole)) if n)]
    found = [("", unit, "\x01") for unit in [*units, whole or "a"]] + [("\x01", unit, "\x01") for unit in known]
    found += [(start, unit, "\x01") for start in starts[1:] for unit in known]
    found += [("", start + unit, "\x01") for start in starts[1:] for unit in known]
    return found


def _text(candidate: tuple[str, str, str], size: int) -> str:
    start, unit, end = candidate
    return start + unit * (size // len(unit)) + end


def _took(run: Callable[[str], Any], text: str) -> float:
    begun = time.thread_time()
    run(text)
    return time.thread_time() - begun


def _runs(found: Found) -> Iterator[Callable[[str], Any]]:
    if found.is_pydantic:
        adapter = TypeAdapter(Annotated[str, Field(pattern=found.pattern)])

        def validate(text: str) -> None:
            try:
                adapter.validate_python(text)
            except ValidationError:
                pass

        yield validate
        return
    compiled = re.compile(found.pattern, found.flags & ~re.DEBUG)
    for method in sorted({"findall" if method in _SCANS else method for method in found.methods}):
        yield getattr(compiled, method)


def slow(found: Found) -> str | None:
    """What makes it slow, if anything does."""
    for run in _runs(found):
        tried = []
        for candidate in _candidates(found.pattern, found.flags):
            if why := _grows(run, candidate, SIZES[:SMALL]):
                return f"{found.where}: {found.pattern!r} {why}"
            tried.append((_took(run, _text(candidate, SIZES[SMALL - 1])), candidate))
        tried.sort(key=lambda one: one[0], reverse=True)
        for _, candidate in tried[:2]:
            if why := _grows(run, candidate, SIZES[SMALL - 1 :]):
                return f"{found.where}: {found.pattern!r} {why}"
    return None


def _grows(run: Callable[[str], Any], candidate: tuple[str, str, str], sizes: tuple[int, ...]) -> str | None:
    before: tuple[int, float] | None = None
    for size in sizes:
        text = _text(candidate, size)
        took = _took(run, text)
        if before is not None and took > NOTICEABLE:
            allowed = GROWTH * max(before[1], NOTICEABLE / GROWTH)
            if took > allowed and min(_took(run, text) for _ in range(3)) > allowed:
                return f"is slow on {candidate}: {before[1]:.4f} s for {before[0]} characters, {took:.4f} s for {size}"
        if took > TOO_LONG:
            return f"is slow on {candidate}: {took:.4f} s for {size} characters"
        before = (size, took)
    return None


def test_every_pattern_of_the_control_plane_is_linear() -> None:
    found = _patterns()
    assert len(found) > 60, "the patterns are no longer found"
    assert {"submarine_ray.spec.commands", "submarine_ray.templates.rendering"} <= {
        one.where.rsplit(":", 1)[0] for one in found
    }
    assert not [why for one in found if (why := slow(one))]


@pytest.mark.parametrize("pattern", [r"\{\{(.*?)\}\}", r'(\w+)="([^"]*)"', r"(a|b|ab)*c", r"^\s+|\s+$", r"x*x*y"])
def test_a_pattern_that_is_not_is_found_out(pattern: str) -> None:
    assert slow(Found("here", pattern, re.UNICODE.value, ("search", "findall")))


@pytest.mark.parametrize("unit", ["x", '"x" ', "\\x", "'x'", "$(x)", " x"])
def test_splitting_a_command_is_linear(unit: str) -> None:
    assert not _grows(split, ("", unit, ""), SIZES)
