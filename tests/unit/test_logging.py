"""What an operator reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

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
@pytest.mark.parametrize("get_logger", [logging.getLogger, structlog.get_logger])
def test_a_failure_shows_where_it_was_and_no_values(
    get_logger: Callable[[str], Any], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("INFO", as_json)
    try:
        token = "se" + "cret"
        raise ValueError(f"of length {len(token)}")
    except ValueError:
        get_logger("of a library, or ours").exception("went wrong")
    said = capsys.readouterr().err
    assert "Traceback" in said and "ValueError: of length 6" in said and "secret" not in said
    if as_json:
        assert "test_logging.py" in json.loads(said)["exception"]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_urls_have_to_sign_in_is_not_logged(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", as_json)
    url = "https://me:c4nary@host/x?sig=c4nary"
    structlog.get_logger("ours").info("fetched", url=url, why=f"{url} failed")
    logging.getLogger("of a library").warning("connecting to %s", url)
    try:
        raise OSError(f"cannot read {url}")
    except OSError:
        structlog.get_logger("ours").exception("went wrong")
    said = capsys.readouterr().err
    assert "c4nary" not in said and said.count("https://me:**********@host/x?sig=**********") == 4
