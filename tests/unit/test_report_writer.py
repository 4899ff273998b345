"""What becomes of a report that is saved from the page on which it is written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from submarine_ray.core.database import Database
from submarine_ray.saved.kinds import REPORTS
from submarine_ray.saved.service import SavedService
from submarine_ray.spec.reports import MOST_LENGTH
from submarine_ray.workbench import parts
from submarine_ray.workbench.markdown import CHANGED_MEANWHILE
from submarine_ray.workbench.reports.writer import Writer
from tests.conftest import run


@pytest.fixture
def saved(tmp_path: Path) -> SavedService:
    database = Database(f"sqlite:///{tmp_path}/db")
    database.migrate()
    return SavedService(database)


def test_a_text_that_was_changed_meanwhile_or_is_too_long_is_not_saved(
    saved: SavedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []
    left: list[str] = []
    monkeypatch.setattr(parts, "tell_failure", failures.append)
    services: Any = SimpleNamespace(saved=saved)
    made = saved.create(REPORTS, "one", {"text": "before"})

    def save(text: str, before: str) -> None:
        writer = Writer(services, made, before, "/reports/one")
        monkeypatch.setattr(writer._edits, "leave", left.append)
        writer._text = text
        run(writer._save())

    save("mine", "before")
    assert saved.get(made.id).document == {"text": "mine"} and left == ["/reports/one"]
    save("of another tab", "before")
    assert saved.get(made.id).document == {"text": "mine"} and failures == [CHANGED_MEANWHILE]
    save("x" * (MOST_LENGTH + 1), "mine")
    assert saved.get(made.id).document == {"text": "mine"} and "text" in failures[-1] and len(failures) == 2
    assert len(left) == 1
