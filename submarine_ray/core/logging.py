"""Logs for an operator: one line an event, key=value or JSON."""

from __future__ import annotations

import logging

import structlog
from structlog.types import EventDict, Processor

from submarine_ray.spec import masks


def configure(level: str, json: bool) -> None:
    """Send structlog's and the standard library's records through one format to stderr."""
    shared: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
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
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # here, so that libraries' records have it too
        _without_passwords,
        renderer,
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=shared))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "alembic", "mlflow", "websockets", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _without_passwords(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What URLs have to sign in is not for logs: they are kept elsewhere, and read by others."""
    return {key: masks.text(value) if isinstance(value, str) else value for key, value in event.items()}
