"""All mutants of a module: where cosmic-ray's operators would change something that means something."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import parso.tree
from cosmic_ray import plugins
from cosmic_ray.ast import Visitor, get_ast
from cosmic_ray.mutating import mutate_code

# The first needs arguments; a removed decorator is mostly a dataclass, without which nothing can be imported; small numbers,
# short strings and members of enumerations are the same where they are equal.
LEFT_OUT = re.compile(r"core/(Variable|RemoveDecorator|\w+_(?:Eq_Is|NotEq_IsNot|Is_Eq|IsNot_NotEq)$)")
# How long or how many: a choice, and no fault.
TUNING = re.compile(r"^\s*(?:[A-Z_]+(?:: \w+)?|[A-Z_]+(?:, [A-Z_]+)+|\w+: int) = [\d_., *e-]+(?:\s*#.*)?$")
# What keeps code that is not there from writing; and what makes a class, which a test's process has made already. Whether
# the tables are those of the migrations is tested (tests/db/test_repository.py).
DECLARED = re.compile(r"^\s*@dataclass|= mapped_column\(|= field\(")


@dataclass(frozen=True)
class Mutant:
    """One change of one module: `before` and `after` are its line, the `line`-th."""

    path: str
    line: int
    before: str
    after: str
    source: str

    @property
    def text(self) -> str:
        return f"{self.before} => {self.after}"


class _Count(Visitor):
    def __init__(self, operator: object) -> None:
        self.operator = operator
        self.places: list[tuple[int, int]] = []

    def visit(self, node: parso.tree.NodeOrLeaf) -> parso.tree.NodeOrLeaf:
        self.places += [start for start, _ in self.operator.mutation_positions(node)]  # type: ignore[attr-defined]
        return node


def mutants(path: str, source: str, chance: random.Random) -> Iterator[Mutant]:
    """One mutant of each place in the module, in a random order, with an operator that is drawn by chance."""
    tree = get_ast(source)
    places: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in plugins.operator_names():
        if LEFT_OUT.match(name):
            continue
        counted = _Count(plugins.get_operator(name)())
        counted.walk(tree)
        for occurrence, place in enumerate(counted.places):
            places.setdefault(place, []).append((name, occurrence))
    lines = source.splitlines()
    order = sorted(places)
    chance.shuffle(order)
    plain = _meaning(source)
    for place in order:
        line = lines[place[0] - 1]
        if TUNING.match(line) or DECLARED.search(line):
            continue
        name, occurrence = chance.choice(places[place])
        try:
            changed = mutate_code(source, plugins.get_operator(name)(), occurrence)
        except AttributeError:
            continue  # of `except a.b.Error` the operator can make nothing
        if changed is None or _meaning(changed) in (plain, None):
            continue
        before, after = _difference(source, changed)
        yield Mutant(path, place[0], before, after, changed)


def named(path: str, source: str, before: str, after: str) -> Mutant:
    """A fault that was thought of: the one place of `before` becomes `after`."""
    assert source.count(before) == 1, f"{path} has no line with {before}: keep tests/mutants/plan.py in step"
    line = source[: source.index(before)].count("\n") + 1
    return Mutant(path, line, before, after, source.replace(before, after))


def _meaning(source: str) -> str | None:
    """The code without its annotations, which nothing runs; None if it is no code."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def _difference(source: str, changed: str) -> tuple[str, str]:
    for before, after in zip(source.splitlines(), changed.splitlines(), strict=False):
        if before != after:
            return before.strip(), after.strip()
    return "", ""
