"""Modules and functions stay short enough to be read at once.

A function's own lines count: without its docstring, and without the functions in it, which count for themselves (the
endpoints in a router).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import submarine_ray

ROOT = Path(submarine_ray.__file__).parent
MODULE, FUNCTION = 400, 60  # lines at most
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
