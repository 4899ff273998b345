"""Logs for an operator: one line an event, key=value or JSON."""

from __future__ import annotations

import logging
from typing import Any

import structlog


def configure(level: str, json: bool) -> None:
    """Send structlog's and the standard library's records through one format to stderr."""
    shared: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
              structlog.processors.TimeStamper(fmt="iso", utc=True)]  # fmt: skip
    # Tracebacks without the values of variables: those may be secret, and drawing them takes seconds.
    renderer = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    last: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # here, so that libraries' records have it too
        renderer,
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=shared))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "alembic", "mlflow", "websockets", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
