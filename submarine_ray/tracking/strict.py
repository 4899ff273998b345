"""MLflow's server parses a batch until a record that it does not understand, forgets the rest, and answers 200.

Here it answers 400, and says which record it was: our shipper then sends the others, MLflow's own client raises. So it
does for ids that its database cannot hold, and for filters that its parser would take too long with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from submarine_ray.spec.bounds import MAX_INTEGER

# What scripts log. Other requests stay as lenient as MLflow's own pages and older clients may need them.
_LOGGED = frozenset({"LogBatch", "LogMetric", "LogParam", "SetTag", "CreateRun"})
_RECORDS = ("metrics", "params", "tags")
_NUMBERS = ("experiment_id", "experiment_ids", "version")
_DIGITS = 19  # of the largest number of 64 bits
_SHOWN = 200
# MLflow's parser of filters takes more time than in proportion: fifteen seconds a megabyte.
_FILTERS = ("filter", "filter_string", "order_by")
LONGEST_FILTER = 2**16


class _Descriptor(Protocol):
    name: str
    fields_by_name: Mapping[str, object]


class _Message(Protocol):
    """A request of protobuf's."""

    DESCRIPTOR: _Descriptor


class Handlers(Protocol):
    """What of the module `mlflow.server.handlers` is replaced here."""

    parse_dict: Callable[[object, _Message], None]


def refuse_what_is_not_understood(handlers: Handlers) -> None:
    """Make MLflow's request handlers refuse instead of leaving out."""
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
    from mlflow.exceptions import MlflowException

    lenient = handlers.parse_dict

    def parse(document: object, message: _Message) -> None:
        try:
            lenient(document, message)
        except ParseError as failure:
            if message.DESCRIPTOR.name not in _LOGGED:
                raise
            text = f"This cannot be stored as it is: {_culprit(document, message)}{failure}"
            text = text.encode(errors="backslashreplace").decode()
            raise MlflowException.invalid_parameter_value(text) from failure
        for name in _FILTERS:
            if sum(map(len, _texts(message, name))) > LONGEST_FILTER:
                raise MlflowException.invalid_parameter_value(f"{name} has more than {LONGEST_FILTER} characters")
        for name, value in _numbers(message):
            if value.isdecimal() and (len(value) > _DIGITS or int(value) > MAX_INTEGER):
                raise MlflowException.invalid_parameter_value(f"{name}: {value[:80]} is a number of more than 64 bits")

    def _numbers(message: _Message) -> Iterator[tuple[str, str]]:
        """What is text here, and a number in MLflow's database."""
        for name in _NUMBERS:
            yield from ((name, one) for one in _texts(message, name))

    def _texts(message: _Message, name: str) -> list[str]:
        """The texts of a field; none where there is no such field, or it holds no text."""
        if name not in message.DESCRIPTOR.fields_by_name:
            return []
        value = getattr(message, name)
        found = [value] if isinstance(value, str) else value if isinstance(value, Iterable) else ()
        return [one for one in found if isinstance(one, str)]

    def _culprit(document: object, message: _Message) -> str:
        """Which record of several it is, if they have the form of several."""
        lists = {kind: document.get(kind) for kind in _RECORDS} if isinstance(document, dict) else {}
        for kind, records in lists.items():
            for number, record in enumerate(records if isinstance(records, list) else ()):
                try:
                    lenient(record, getattr(type(message)(), kind).add())
                except (ParseError, TypeError, AttributeError):  # the latter of what is no object
                    return f"{kind}[{number}] {repr(record)[:_SHOWN]}: "
        return ""

    handlers.parse_dict = parse
