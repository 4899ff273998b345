"""What the CLI prints: tables for people, JSON or YAML for programs, one line for a problem."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any


class Problem(Exception):
    """Ends the command with this one-line message and exit status 1."""


_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])  # all but tab and line feed


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def document(value: Any, form: Format) -> None:
    """A value for a program to read."""
    if form is Format.YAML:
        from submarine_ray.spec import documents

        sys.stdout.write(documents.dump(value))
    else:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for a person."""
    from rich.console import Console

    # A pipe has no width: nothing may be cut there.
    Console(width=None if sys.stdout.isatty() else 200).print(drawn(title, columns, rows))


def drawn(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """A table; users' text is shown as it is, never as markup, and nothing in it speaks to the terminal."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(Text(column.translate(_CONTROLS)), overflow="fold")
    for row in rows:
        texts = ("" if cell is None else str(cell).translate(_CONTROLS) for cell in row)
        made.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in texts))
    return made


def panel(title: str, value: Any) -> None:
    """A document in a frame, as Submarine's CLI shows one."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    Console().print(Panel(Text(json.dumps(value, indent=2, ensure_ascii=False)), title=title))


def show(title: str, value: Any, form: Format) -> None:
    """One thing: in a frame for a person, as a document for a program."""
    if form is Format.TABLE:
        panel(title, value)
    else:
        document(value, form)


_STYLES = {"Succeeded": "green", "Running": "cyan", "running": "green", "Failed": "red", "Stopped": "bright_black",
           "stopped": "yellow"}  # fmt: skip
