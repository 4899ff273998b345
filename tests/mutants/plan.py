"""Which modules are mutated, and the fast tests that must see it."""

from __future__ import annotations

PARTS = "tests/unit/test_engine_parts.py"
STEPPED = (PARTS, "tests/reconcile/test_engine.py", "tests/reconcile/test_recovery.py")
ALL = (*STEPPED, "tests/reconcile/test_threads.py", "tests/reconcile/test_interleaved.py")

TESTS: dict[str, tuple[str, ...]] = {
    "submarine_ray/core/engine/backoff.py": (PARTS,),
    "submarine_ray/core/engine/restless.py": STEPPED,
    "submarine_ray/core/engine/change_queue.py": (
        "tests/unit/test_change_queue.py",
        "tests/reconcile/test_recovery.py",
    ),
    "submarine_ray/core/engine/hand.py": ALL,
    "submarine_ray/core/engine/engine.py": ALL,
    "submarine_ray/core/lanes.py": (PARTS,),
    "submarine_ray/core/leases.py": (*ALL, "tests/unit/test_clock.py"),
    "submarine_ray/core/paging.py": (PARTS,),
    "submarine_ray/experiments/decide.py": ("tests/unit/test_decide.py", "tests/reconcile/test_experiments.py"),
    "submarine_ray/notebooks/decide.py": ("tests/unit/test_notebook_decide.py", "tests/reconcile/test_notebooks.py"),
    "submarine_ray/serving/decide.py": ("tests/unit/test_serving_decide.py", "tests/reconcile/test_serving.py"),
    "submarine_ray/serving/room.py": ("tests/unit/test_room.py",),
    "submarine_ray/admission/decide.py": ("tests/unit/test_admission.py", "tests/unit/test_admission_service.py"),
    "submarine_ray/admission/placement.py": ("tests/unit/test_placement.py",),
    "submarine_ray/spec/quantities.py": ("tests/unit/test_quantities.py",),
    "submarine_ray/spec/space.py": ("tests/unit/test_space.py", "tests/unit/test_search.py"),
}

# Faults that once no fast test saw. Each run begins with them: module, a line's part, and what it becomes.
ONCE_UNSEEN: tuple[tuple[str, str, str], ...] = (
    ("submarine_ray/admission/decide.py", "minus(free, demand.unit.times(units))", "minus(free, demand.unit.times(0))"),
    ("submarine_ray/admission/decide.py", "one.memory - other.memory", "one.memory"),
    ("submarine_ray/admission/placement.py", "(one.used + demand).fits", "(one.used).fits"),
    ("submarine_ray/admission/placement.py", 'one.load() if wanted.policy == "leastLoaded"', "one.load() if False"),
    ("submarine_ray/serving/room.py", 'deployment["max_surge_percent"] = 0', 'deployment["max_surge_percent"] = 100'),
    ("submarine_ray/serving/room.py", "of(total) - of(used) + of(after)", "of(total) - of(used)"),
    ("submarine_ray/spec/quantities.py", '"Ti": 2**40', '"Ti": 10**12'),
    ("submarine_ray/spec/quantities.py", '"M": 10**6', '"M": 2**20'),
    ("submarine_ray/core/engine/engine.py", "self.changes.put_back(changed)", "pass"),
    ("submarine_ray/core/leases.py", "        _mend(session, table, now, lessee)\n", "        pass\n"),
)
