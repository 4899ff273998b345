"""Which modules are mutated, and the fast tests that must see it."""

from __future__ import annotations

PARTS = "tests/unit/test_engine_parts.py"
LEASES = "tests/unit/test_leases.py"
DETAILS = "tests/reconcile/test_engine_details.py"
STEPPED = (PARTS, "tests/reconcile/test_engine.py", DETAILS, "tests/reconcile/test_recovery.py")
MACHINE = "tests/reconcile/test_interleaved.py"
ALL = (LEASES, "tests/unit/test_clock.py", *STEPPED, "tests/reconcile/test_threads.py", MACHINE)

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
    "submarine_ray/core/leases.py": ALL,
    "submarine_ray/core/paging.py": (PARTS,),
    "submarine_ray/experiments/decide.py": ("tests/unit/test_decide.py", "tests/reconcile/test_experiments.py"),
    "submarine_ray/notebooks/decide.py": ("tests/unit/test_notebook_decide.py", "tests/reconcile/test_notebooks.py"),
    "submarine_ray/notices/decide.py": ("tests/unit/test_notices.py",),
    "submarine_ray/serving/decide.py": ("tests/unit/test_serving_decide.py", "tests/reconcile/test_serving.py"),
    "submarine_ray/serving/room.py": ("tests/unit/test_room.py",),
    "submarine_ray/admission/decide.py": ("tests/unit/test_admission.py", "tests/unit/test_admission_service.py"),
    "submarine_ray/admission/placement.py": ("tests/unit/test_placement.py",),
    "submarine_ray/spec/quantities.py": ("tests/unit/test_quantities.py",),
    "submarine_ray/spec/endings.py": ("tests/unit/test_endings.py",),
    "submarine_ray/clusters/drivers/kuberay/status.py": ("tests/kuberay/test_status.py",),
    "serve_apps/parsing.py": ("tests/unit/test_serving_protocol.py", "tests/unit/test_serving_server.py"),
    "serve_apps/fitting.py": ("tests/unit/test_serving_protocol.py",),
    "submarine_ray/spec/space.py": ("tests/unit/test_space.py", "tests/unit/test_search.py"),
}

SLOW = tuple(path for path, tests in TESTS.items() if set(STEPPED) <= set(tests))
"""What many tests of a second each must see: a run with a bound has half of its time for them."""

# Faults that once no fast test saw. Tried before a module's others: module, a line's part, and what it becomes.
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

# What holds the engine together, taken away: the machine that interleaves services must see each by itself.
SEEN_BY_THE_MACHINE: tuple[tuple[str, str, str], ...] = (
    ("submarine_ray/core/leases.py", "key == row.row_key, table.c.lock_token == row.lock_token", "key == row.row_key"),
    ("submarine_ray/core/leases.py", "mine.where(table.c.generation == row.generation)", "mine"),
    ("submarine_ray/core/leases.py", "table.lock_expires_ms < now)", "table.lock_expires_ms > 0)"),
    ("submarine_ray/core/leases.py", "values(lock_expires_ms=until)", "values(lock_expires_ms=table.lock_expires_ms)"),
    ("submarine_ray/core/leases.py", "        _mend(session, table, now, lessee)\n", "        pass\n"),
    ("submarine_ray/core/engine/hand.py", "self._renewed(going) if going else set()", "set(going)"),
    ("submarine_ray/core/engine/hand.py", "self._lessee.clock.even_ms() < claim.until_ms", "bool(claim.until_ms)"),
    ("submarine_ray/core/engine/hand.py", "self._claims.pop(key, None)", "pass"),
    ("submarine_ray/core/engine/engine.py", "self._give_back([row for row in rows if row not in held])", "pass"),
    ("submarine_ray/core/engine/engine.py", "if self._hand.holds(row.row_key)]", "if row.row_key]"),
    ("submarine_ray/core/engine/engine.py", "if not self._still_held([row]):", "if not row:"),
    ("submarine_ray/core/engine/engine.py", "            self._give_back([row])\n        elif", "            pass\n        elif"),
    ("submarine_ray/core/engine/engine.py", "        self._give_back(rows)\n\n    def _answers", "        pass\n\n    def _answers"),
    ("submarine_ray/core/engine/engine.py", "self._hand.take(rows, begun)", "pass"),
)  # fmt: skip
