"""The tests of a mutant: those that reach the changed statement, the quickest first, each mutant in a fork.

One pytest session collects everything once. Each test runs once without a mutant, before the first mutant that it may see:
that says which lines of which modules it reaches, how long it takes, and that it passes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest

from tests.mutants.sites import Mutant

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS, PATIENCE_TIMES = 10.0, 8.0
"""A test may take so long under a mutant, and so many times as long as without it; longer is as good as a failure."""


class Broken(Exception):
    """The tests fail without any mutant."""


@dataclass(frozen=True)
class Reach:
    """Of one test without a mutant: how long it takes, and which lines of each module it runs."""

    seconds: float
    lines: Mapping[str, set[int]]

    @property
    def limit(self) -> float:
        """The seconds that the test may take under a mutant."""
        return PATIENCE_SECONDS + PATIENCE_TIMES * self.seconds


class Trials:
    """A session of pytest, whose tests are run for one mutant after the other; `modules` are those that are changed."""

    def __init__(self, items: Sequence[pytest.Item], modules: Sequence[str]) -> None:
        self._items = items
        self._modules = modules
        self._reached: dict[str, Reach] = {}

    def survives(self, mutant: Mutant, tests: Sequence[str]) -> bool:
        """Whether the tests pass all the same: they do not if they crash or hang. Raises Broken if they fail without it."""
        mine = [item for item in self._items if item.nodeid.split("::")[0] in tests]
        if not mine:
            raise Broken(f"no test of {mutant.path} was found")
        if fresh := [item for item in mine if item.nodeid not in self._reached]:
            self._reached |= reach(self._modules, fresh)
        wanted = statement(mutant)
        chosen = [item for item in mine if not wanted or self._reached[item.nodeid].lines[mutant.path] & wanted]
        chosen.sort(key=lambda item: self._reached[item.nodeid].seconds)
        limits = {item.nodeid: self._reached[item.nodeid].limit for item in chosen}

        def work() -> bool:
            put_in(mutant)
            return passes(chosen, limits)

        return in_fork(work, sum(limits.values())) is True


def in_fork(work: Callable[[], Any], limit: float) -> Any:
    """What the work answers, done in a child whose output nobody sees; None if it takes longer or dies."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        try:
            os.write(sender, json.dumps(work()).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(sender)
    timer = threading.Timer(limit, lambda: os.killpg(child, signal.SIGKILL))
    timer.start()
    with os.fdopen(receiver) as answers:
        answer = answers.readline()
    timer.cancel()
    try:
        os.killpg(child, signal.SIGKILL)  # what its tests have started goes with it
    except ProcessLookupError:
        pass
    os.waitpid(child, 0)
    return json.loads(answer) if answer else None


def passes(items: Sequence[pytest.Item], limits: Mapping[str, float]) -> bool:
    """Run the tests up to the first that fails. The process ends if one takes longer than its limit, in seconds."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        hangs = threading.Timer(limits[item.nodeid], os._exit, [1])
        hangs.daemon = True
        hangs.start()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        hangs.cancel()
        if item.session.testsfailed:
            return False
    return True


def reach(modules: Sequence[str], items: Sequence[pytest.Item]) -> dict[str, Reach]:
    """Run tests without a mutant, and note what each reaches. Raises Broken if one fails."""

    def work() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for item in items:
            lines: dict[str, set[int]] = {str(ROOT / path): set() for path in modules}
            with _traced(lines):
                begun = time.monotonic()
                is_well = passes([item], {item.nodeid: 600})
            if not is_well:
                return {"failed": item.nodeid}
            found[item.nodeid] = [time.monotonic() - begun, [sorted(of) for of in lines.values()]]
        return {"found": found}

    answer = in_fork(work, 600) or {"failed": "they died, or took more than ten minutes"}
    if "failed" in answer:
        raise Broken(f"the tests fail without a mutant: {answer['failed']}")
    return {
        id: Reach(seconds, {path: set(of) for path, of in zip(modules, lines, strict=True)})
        for id, (seconds, lines) in answer["found"].items()
    }


class _traced:
    """Notes the lines of files that run, in all threads that begin meanwhile as well."""

    def __init__(self, lines: Mapping[str, set[int]]) -> None:
        self.lines = lines

    def __enter__(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename in self.lines else None

    def _line(self, frame: FrameType, _event: str, _argument: object) -> Any:
        self.lines[frame.f_code.co_filename].add(frame.f_lineno)
        return self._line


def statement(mutant: Mutant) -> set[int]:
    """The lines of the smallest statement around the change, if it is in a function's body; else none: all tests count."""
    found = set[int]()

    def visit(body: Sequence[ast.stmt], is_run: bool) -> None:
        nonlocal found
        for node in body:
            inner = [one for _, one in ast.iter_fields(node) if isinstance(one, list)]
            blocks = [one for one in inner if one and isinstance(one[0], ast.stmt | ast.ExceptHandler | ast.match_case)]
            first = min((_first(block[0]) for block in blocks), default=(node.end_lineno or 0) + 1)
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if node.lineno <= mutant.line <= (node.end_lineno or 0):
                is_simple = is_run and not is_function and not isinstance(node, ast.ClassDef)
                found = set(range(node.lineno, max(first, node.lineno + 1))) if is_simple else set()
                for block in blocks:
                    parts = [block] if isinstance(block[0], ast.stmt) else [one.body for one in block]
                    for part in parts:
                        if part and _first(part[0]) <= mutant.line <= (part[-1].end_lineno or 0):
                            visit(part, is_run or is_function)

    visit(ast.parse((ROOT / mutant.path).read_text()).body, False)
    return found


def _first(node: Any) -> int:
    return int(node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno)


def put_in(mutant: Mutant) -> None:
    """Give the functions of the module, which others have imported already, the mutant's code."""
    module = importlib.import_module(mutant.path.removesuffix(".py").replace("/", "."))
    changed = ModuleType(module.__name__)
    changed.__file__ = module.__file__
    exec(compile(mutant.source, str(ROOT / mutant.path), "exec"), changed.__dict__)
    _replace(vars(module), vars(changed), module.__name__)


def _replace(old: Mapping[str, Any], new: Mapping[str, Any], module: str) -> None:
    for name, there in list(old.items()):
        put = new.get(name)
        if isinstance(there, type) and getattr(there, "__module__", "") == module and isinstance(put, type):
            _replace(vars(there), vars(put), module)
        elif isinstance(there, property) and isinstance(put, property):
            _replace({"": there.fget}, {"": put.fget}, module)
        elif isinstance(there, classmethod | staticmethod) and isinstance(put, classmethod | staticmethod):
            _replace({"": there.__func__}, {"": put.__func__}, module)
        elif isinstance(there, FunctionType) and isinstance(put, FunctionType) and there.__module__ == module:
            there = inspect.unwrap(there)  # of a context manager's function, the function
            put = inspect.unwrap(put)
            there.__code__, there.__defaults__ = put.__code__, put.__defaults__
            there.__kwdefaults__ = put.__kwdefaults__
        elif (
            isinstance(old, dict) and isinstance(there, int | str | float | tuple | frozenset | dict) and name.isupper()
        ):
            old[name] = put
