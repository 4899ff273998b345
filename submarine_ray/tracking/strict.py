"""MLflow's server parses a batch until a record that it does not understand, forgets the rest, and answers 200.

Here it answers 400, and says which record it was: our shipper then sends the others, MLflow's own client raises.
"""

from __future__ import annotations

from typing import Any

# What scripts log. Other requests stay as lenient as MLflow's own pages and older clients may need them.
_LOGGED = frozenset({"LogBatch", "LogMetric", "LogParam", "SetTag", "CreateRun"})
_RECORDS = ("metrics", "params", "tags")
_SHOWN = 200


def refuse_what_is_not_understood(handlers: Any) -> None:
    """Make MLflow's request handlers (the module `mlflow.server.handlers`) refuse instead of leaving out."""
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
    from mlflow.exceptions import MlflowException

    lenient = handlers.parse_dict

    def parse(document: Any, message: Any) -> None:
        try:
            lenient(document, message)
        except ParseError as failure:
            if message.DESCRIPTOR.name not in _LOGGED:
                raise
            text = f"This cannot be stored as it is: {_culprit(document, message)}{failure}"
            text = text.encode(errors="backslashreplace").decode()
            raise MlflowException.invalid_parameter_value(text) from failure

    def _culprit(document: Any, message: Any) -> str:
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
