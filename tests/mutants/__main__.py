"""Mutate, test, and say what survived: `python -m tests.mutants [--seconds N] [--seed N] [MODULE...]`.

Each mutant is tested in a fork of a process that has collected all tests already: most cost less than a second.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutants.plan import MACHINE, ONCE_UNSEEN, SEEN_BY_THE_MACHINE, SLOW, TESTS
from tests.mutants.sites import Mutant, mutants, named
from tests.mutants.trial import ROOT, Broken, Trials

SURVIVORS = Path(__file__).with_name("survivors.md")
SHARE = 0.95
EXAMPLES = 15
"""How many examples the machine that interleaves services draws for a mutant."""
QUICK = 0.5
"""The share of the time after which a run with a bound goes on to the modules whose tests are slow."""
FEWEST = 100
"""Of fewer a share says little: a slow machine, which tries few of them before the bound, must not fail by chance."""


def parts(modules: Sequence[str]) -> Iterator[tuple[list[str], float]]:
    """The quick modules, then the slow ones; each with the share of the time by which they are to be tried."""
    quick, slow = [one for one in modules if one not in SLOW], [one for one in modules if one in SLOW]
    if quick:
        yield quick, QUICK if slow else 1
    if slow:
        yield slow, 1


def drawn(part: Sequence[str], seed: int) -> Iterator[tuple[Mutant, Sequence[str]]]:
    """All mutants of some modules, with the tests that must see each, in an order of the seed alone.

    Those with a name come first, then one of each module in turn.
    """
    for faults, tests in ((ONCE_UNSEEN, None), (SEEN_BY_THE_MACHINE, (MACHINE,))):
        for path, before, after in faults:
            if path in part:
                yield named(path, (ROOT / path).read_text(), before, after), tests or TESTS[path]
    of_each = [mutants(path, (ROOT / path).read_text(), random.Random(f"{seed}{path}")) for path in part]
    for turn in zip_longest(*of_each):
        yield from ((mutant, TESTS[mutant.path]) for mutant in turn if mutant)


def is_enough(killed: int, tried: int, least: float) -> bool:
    """Whether a run passes: so many are killed, or too few were tried to tell."""
    return tried < FEWEST or killed >= least * tried


def listed() -> set[tuple[str, str]]:
    """What may survive, by module and change: the lines of a table."""
    rows = [line.strip("|").split("|") for line in SURVIVORS.read_text().splitlines() if line.startswith("| `")]
    return {(row[0].strip(" `"), row[1].strip(" `").replace("¦", "|")) for row in rows}


class Run:
    """What pytest calls in place of running the tests it has collected."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.killed, self.survived = Counter[str](), Counter[str]()
        self.status = 2

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            self.say("the tests cannot be collected, without any mutant: run pytest on them")
            return True
        trials, known, begun = Trials(session.items, self.asked.modules), listed(), time.monotonic()
        try:
            for part, share in parts(self.asked.modules):
                for mutant, tests in drawn(part, self.asked.seed):
                    if time.monotonic() - begun > self.asked.seconds * share:
                        break
                    if not known & {(mutant.path, mutant.text), (mutant.path, f"{mutant.before} => *")}:
                        self.note(mutant, trials.survives(mutant, tests))
        except Broken as failure:
            self.say(str(failure))
            return True
        killed, tried = self.killed.total(), self.killed.total() + self.survived.total()
        for path in self.asked.modules:
            self.say(f"{self.killed[path]:5} of {self.killed[path] + self.survived[path]:5}  {path}")
        share, judged = killed / max(1, tried), "" if tried >= FEWEST else f"; fewer than {FEWEST} are not judged"
        self.say(f"{killed} of {tried} mutants killed ({share:.1%}), with --seed {self.asked.seed}{judged}")
        self.status = 0 if is_enough(killed, tried, self.asked.least) else 1
        return True

    def note(self, mutant: Mutant, is_alive: bool) -> None:
        (self.survived if is_alive else self.killed)[mutant.path] += 1
        if is_alive:
            self.say(f"survived  {mutant.path}:{mutant.line}\n    {mutant.before}\n    {mutant.after}")

    def say(self, words: str) -> None:
        sys.__stdout__.write(f"{words}\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument(
        "--least", type=float, default=SHARE, help=f"the share that must be killed, of {FEWEST} at least"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same mutants in the same order")
    run = Run(parser.parse_args())
    os.environ.setdefault("SUBMARINE_EXAMPLES", str(EXAMPLES))
    import tests.conftest  # noqa: F401 (it loads the profile that this one is made of)

    first = (Phase.explicit, Phase.generate)  # one failure is enough, however long it is
    settings.register_profile(
        "mutants", settings(), phases=first, report_multiple_bugs=False, database=None, derandomize=True
    )
    settings.load_profile("mutants")
    files = sorted({test for path in run.asked.modules for test in TESTS[path]})
    options = ["-q", "-s", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-W", "ignore"]
    found = pytest.main([*options, "-m", "not (db or long or ray)", *files], plugins=[run])
    return run.status or int(found)


if __name__ == "__main__":
    sys.exit(main())
