"""The format in which metrics and parameters travel from a replica to the store: written here, and read here.

A replica appends lines of JSON to a file, the spool (`lines.py`). Whoever sends it (the runner, `client/ship.py`, or
the service once the attempt has ended) numbers points by where they end in that file, and sends them as columns
(`batches.py`). Standard library only: this runs beside every replica.
"""

from __future__ import annotations

from pathlib import Path

FILE = ".metrics.jsonl"
"""The spool's name, in a replica's own directory."""


def media_queue(spool: Path) -> Path:
    """Beside a spool: the directory of images, tables and the like that are still to be sent (`media.py`)."""
    return spool.with_name(f"{spool.name}.media")


def writer_file(spool: Path) -> Path:
    """Beside a spool: the name under which its points are sent, whoever sends them."""
    return spool.with_name(f"{spool.name}.writer")
