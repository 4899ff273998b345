"""The migrations are one line."""

from __future__ import annotations

from pathlib import Path

from alembic.script import ScriptDirectory

import submarine_ray.migrations


def test_each_migration_follows_the_one_before() -> None:
    directory = Path(submarine_ray.migrations.__file__).parent
    found = list(ScriptDirectory(str(directory)).walk_revisions())
    numbers = [int(one.revision) for one in reversed(found)]
    assert numbers == list(range(1, len(found) + 1)) and len(found) == len(list((directory / "versions").glob("0*.py")))
