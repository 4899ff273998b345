"""What operators read of the settings: docs/configuration.md, and what is said when the service does not start."""

from __future__ import annotations

import re
from pathlib import Path

from submarine_ray.cli import processes
from submarine_ray.core.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_lists_each_setting_and_no_other() -> None:
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `SUBMARINE_")]
    listed = [name for row in rows for name in re.findall(r"SUBMARINE_(\w+)", row)]
    assert sorted(listed) == sorted(name.upper() for name in Settings.model_fields)


def test_a_failed_start_shows_what_it_said_and_nothing_from_before(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    assert processes.size(log) == 0 and processes.tail(log) == ""
    log.write_text("from yesterday\n" * 40)
    before = processes.size(log)
    with log.open("a") as file:
        file.write("SUBMARINE_PORT: too large\n")
    assert processes.tail(log, before) == "SUBMARINE_PORT: too large"
    assert len(processes.tail(log).splitlines()) == 30
