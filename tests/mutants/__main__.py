"""Mutate, test, and say what survived: `python -m tests.mutants [--seconds N] [--seed N] [MODULE...]`.

Each mutant is tested in a fork of a process that has imported everything already: most cost less than a second.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from tests.mutants.plan import ONCE_UNSEEN, TESTS
from tests.mutants.sites import Mutant, mutants

ROOT = Path(__file__).parents[2]
SURVIVORS = Path(__file__).with_name("survivors.md")
SHARE = 0.95


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


def survives(mutant: Mutant | None, tests: Sequence[str], limit: float) -> bool:
    """Whether the tests pass all the same. Tests that take longer than `limit` seconds have seen it, too."""
    child = os.fork()
    if child == 0:
        os.setsid()
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = 1
        try:
            if mutant:
                put_in(mutant)
            status = pytest.main(
                ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore", "-m", "not (db or long or ray)", *tests]
            )
        finally:
            os._exit(int(status))
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def drawn(modules: Sequence[str], seed: int) -> Iterator[Mutant]:
    """What was once not seen, then the mutants of all modules in turn."""
    for path, before, after in ONCE_UNSEEN:
        if path in modules:
            source = (ROOT / path).read_text()
            assert source.count(before) == 1, f"{path} has no line with {before}: keep tests/mutants/plan.py in step"
            yield Mutant(path, before, after, source.replace(before, after))
    of_each = [mutants(path, (ROOT / path).read_text(), random.Random(f"{seed}{path}")) for path in modules]
    for turn in zip_longest(*of_each):
        yield from (mutant for mutant in turn if mutant)


def listed() -> set[tuple[str, str]]:
    """What may survive, by module and change: the lines of a table."""
    rows = [line.strip("|").split("|") for line in SURVIVORS.read_text().splitlines() if line.startswith("| `")]
    return {(row[0].strip(" `"), row[1].strip(" `")) for row in rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same mutants in the same order")
    asked = parser.parse_args()
    importlib.import_module("tests.conftest")
    for path in asked.modules:
        for tests in TESTS[path]:
            importlib.import_module(tests.removesuffix(".py").replace("/", "."))
    started, known, limits = time.monotonic(), listed(), dict[str, float]()
    killed, survived = 0, list[Mutant]()
    for mutant in drawn(asked.modules, asked.seed):
        if time.monotonic() - started > asked.seconds:
            break
        if (mutant.path, mutant.text.replace("|", "¦")) in known:
            continue
        tests = TESTS[mutant.path]
        if mutant.path not in limits:
            began = time.monotonic()
            if not survives(None, tests, 300):
                print(f"The tests of {mutant.path} fail without a mutant: pytest {' '.join(tests)}")
                return 2
            limits[mutant.path] = 20 + 5 * (time.monotonic() - began)
        if survives(mutant, tests, limits[mutant.path]):
            survived.append(mutant)
            print(f"survived  {mutant.path}\n    {mutant.before}\n    {mutant.after}", flush=True)
        else:
            killed += 1
    share = killed / max(1, killed + len(survived))
    print(f"{killed} of {killed + len(survived)} mutants killed ({share:.0%}), with --seed {asked.seed}")
    return 0 if share >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
