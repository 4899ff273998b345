"""Modules and functions stay short enough to be read at once, and nothing is written twice.

A function's own lines count: without its docstring, and without the functions in it, which count for themselves (the
endpoints in a router).
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import submarine_ray

ROOT = Path(submarine_ray.__file__).parent
MODULE, FUNCTION = 400, 60  # lines at most
SHARED = 6  # lines in a row that two places may not share
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FILES = [
    *(file for file in ROOT.rglob("*.py") if not {"_templates", "versions"} & {*file.parts}),
    *(ROOT.parent / "serve_apps").rglob("*.py"),
    *(ROOT.parent / "templates").rglob("*.py"),
]


def functions(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, FUNCTIONS):
            inner = sum(map(lines, outermost(node)))
            said = lines(node.body[0]) if ast.get_docstring(node) else 0
            yield f"{file.relative_to(ROOT.parent)}: {node.name}", lines(node) - inner - said


def outermost(node: ast.AST) -> Iterator[ast.stmt]:
    """The functions in a function that are in no other function of it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child
        else:
            yield from outermost(child)


def lines(node: ast.stmt) -> int:
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return (node.end_lineno or node.lineno) - first + 1


def test_no_module_has_over_400_lines() -> None:
    lengths = {str(file.relative_to(ROOT.parent)): len(file.read_text().splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > MODULE} == {}


def test_no_function_has_over_60_lines() -> None:
    lengths = [found for file in FILES for found in functions(file)]
    assert [(name, length) for name, length in lengths if length > FUNCTION] == []


# Imports, what stands alone in brackets, and declarations of fields and parameters with their docstrings.
PLAIN = re.compile(r"from .*|import .*|[\])}(,]*|\w+: .*|\w+,|\"\"\".*")


def test_no_six_lines_are_written_twice() -> None:
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file in FILES:
        lines = [(number, text.strip()) for number, text in enumerate(file.read_text().splitlines(), 1) if text.strip()]
        for first in range(len(lines) - SHARED + 1):
            run = tuple(text for _, text in lines[first : first + SHARED])
            if not all(map(PLAIN.fullmatch, run)):
                places[run].append(f"{file.relative_to(ROOT.parent)}:{lines[first][0]}")
    assert [found for found in places.values() if len(found) > 1] == []
