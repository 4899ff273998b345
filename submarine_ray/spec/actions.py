"""What is done to many experiments at once. Standard library only: the command line starts with it."""

from __future__ import annotations

from enum import StrEnum


class BulkAction(StrEnum):
    """What is done to each experiment."""

    TAG = "tag"
    UNTAG = "untag"
    STOP = "stop"
    DELETE = "delete"
