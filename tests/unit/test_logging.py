"""What an operator reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from submarine_ray.core.logging import configure


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    """Logs as they were, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_librarys_failure_shows_where_it_was_and_no_values(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", as_json)
    try:
        token = "se" + "cret"
        raise ValueError(f"of length {len(token)}")
    except ValueError:
        logging.getLogger("library").exception("went wrong")
    said = capsys.readouterr().err
    assert "Traceback" in said and "ValueError: of length 6" in said and "secret" not in said
    if as_json:
        assert "test_logging.py" in json.loads(said)["exception"]
