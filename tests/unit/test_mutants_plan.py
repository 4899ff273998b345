"""What `make mutants` goes by is in step with the code."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.mutants.__main__ import FEWEST, drawn, is_enough, parts
from tests.mutants.plan import ONCE_UNSEEN, SEEN_BY_THE_MACHINE, SLOW, TESTS
from tests.mutants.sites import mutants

ROOT = Path(__file__).parents[2]


def test_every_decision_and_all_of_the_engine_is_mutated() -> None:
    package = ROOT / "submarine_ray"
    engine = {"__init__.py", "bounds.py", "feature.py", "metrics.py"}  # no code that decides anything
    parts = {path for path in (package / "core" / "engine").glob("*.py") if path.name not in engine}
    expected = {str(path.relative_to(ROOT)) for path in {*package.glob("*/decide.py"), *parts}}
    assert expected <= set(TESTS)
    assert [path for tests in TESTS.values() for path in tests if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("path", "before", "after"), [*ONCE_UNSEEN, *SEEN_BY_THE_MACHINE])
def test_a_named_fault_can_still_be_made(path: str, before: str, after: str) -> None:
    source = (ROOT / path).read_text()
    assert source.count(before) == 1 and path in TESTS
    compile(source.replace(before, after), path, "exec")


def test_quick_modules_come_first_and_leave_time_to_the_slow() -> None:
    slow, *quick = modules = [
        f"submarine_ray/core/{name}.py" for name in ("engine/restless", "paging", "engine/backoff")
    ]
    assert slow in SLOW and list(parts(modules)) == [(quick, 0.5), ([slow], 1)]
    assert list(parts(quick)) == [(quick, 1)] and list(parts([slow])) == [([slow], 1)]


def test_mutants_come_in_an_order_of_the_seed_alone() -> None:
    modules = ["submarine_ray/core/paging.py", "submarine_ray/core/engine/backoff.py"]
    first, again, other = ([mutant for mutant, _ in drawn(modules, seed)] for seed in (1, 1, 2))
    assert first == again != other
    assert [mutant.path for mutant in first[:4]] == modules * 2


def test_what_a_class_is_made_of_is_no_mutant() -> None:
    source = (ROOT / "submarine_ray/core/leases.py").read_text()
    changed = {one.before for one in mutants("leases.py", source, Random(1))}
    assert changed and not any("mapped_column(" in line or "= field(" in line for line in changed)


def test_few_mutants_are_not_judged() -> None:
    assert is_enough(0, FEWEST - 1, 0.9) and is_enough(90, 100, 0.9) and not is_enough(89, 100, 0.9)
