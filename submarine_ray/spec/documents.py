"""YAML as YAML 1.2's core schema has it, read in one place; and written so that it is read back as it was.

PyYAML follows YAML 1.1, where `NO` is false, `12:30:00` is 45000 and `3.10` is 3.1. Here `NO` and `12:30:00` are text.
A number or truth value that JSON would spell otherwise than it is written (`3.10`, `007`, `1e5`, `True`) is kept as
text too: where a number is wanted validation reads it as one, and where text is wanted nothing has been lost. Below
`searchSpace` numbers are numbers, however they are written: a train function computes with them.

Documents are built from the parser's events (libyaml's), without recursion and without aliases: no depth of nesting
ends the process, and a few bytes stay few (docs/decisions/0028).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from submarine_ray.spec.bounds import MAX_DEPTH, MAX_NODES, OutOfBounds, scan
from submarine_ray.spec.json_types import Json, JsonObject

_NUMBERS_BELOW = ("searchSpace", "search_space")

_NULL = ("", "~", "null", "Null", "NULL")
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_DIGITS = 300  # far beyond any number that is meant as one; Python refuses to read very long ones
_TAG = "tag:yaml.org,2002:"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's: PyYAML's own takes fifty times as long
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
_WRITE_IT_OUT = "write out what it stands for (`yq 'explode(.)' FILE` does)"


Scalar = bool | int | float | str | None


class _Mark(Protocol):
    """Where the parser is; PyYAML and libyaml have one each."""

    line: int
    column: int


class NotYaml(ValueError):
    """The text is no YAML, or none that is taken; the message says where and why, in a line."""


def load(text: str | bytes, numbers: bool = False) -> Any:
    """The one document in the text, in JSON's types; None if there is none. Raises NotYaml.

    With `numbers`, all its numbers are numbers, as below `searchSpace`.
    """
    try:
        found = list(load_all(text, numbers))
    except NotYaml as failure:
        return _json(text, failure)
    if len(found) > 1:
        raise NotYaml(f"holds {len(found)} documents; write one, without a line of ---")
    return found[0] if found else None


def _json(text: str | bytes, failure: NotYaml) -> Json:
    """JSON that is no YAML to our parser: indented by tabs, or with characters escaped in pairs. Raises `failure`."""
    is_json = text.lstrip()[:1] in ("{", "[", b"{", b"[")
    try:
        if is_json:
            scan(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
            found: Json = json.loads(text, object_pairs_hook=_unique)
            return found
    except OutOfBounds as beyond:
        raise NotYaml(str(beyond)) from beyond
    except ValueError:
        pass
    raise failure


def _unique(pairs: list[tuple[str, Json]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def load_all(text: str | bytes, numbers: bool = False) -> Iterator[Any]:
    """Every document in the text. Raises NotYaml."""
    try:
        yield from _documents(text, numbers)
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        why = " ".join(part for part in (failure.context, failure.problem) if part)
        raise NotYaml(f"{_place(mark)}{why}") from failure
    except (yaml.YAMLError, UnicodeDecodeError) as failure:
        raise NotYaml(" ".join(str(failure).split())) from failure


def dump(document: object) -> str:
    """The document as YAML that `load` and readers of YAML 1.1 read alike, in the order it has."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


@dataclass
class _Open:
    """A mapping or sequence that is being read."""

    value: JsonObject | list[Json]
    gives_numbers: bool
    key: str | None = None

    @property
    def wants_key(self) -> bool:
        return self.key is None and isinstance(self.value, dict)


def _documents(text: str | bytes, numbers: bool) -> Iterator[Json]:
    opened: list[_Open] = []
    root: list[Json] = []
    nodes = 0
    for event in yaml.parse(text, Loader=_LOADER):
        match event:
            case yaml.DocumentStartEvent():
                root = []
            case yaml.DocumentEndEvent():
                yield root[0] if root else None
            case yaml.AliasEvent():
                raise _refused(event, f"aliases such as *{event.anchor} are not taken; {_WRITE_IT_OUT}")
            case yaml.ScalarEvent():
                nodes += 1
                if opened and opened[-1].wants_key:
                    _begin(opened[-1], _key(event), event)
                else:
                    _add(opened, root, _scalar(event, opened[-1].gives_numbers if opened else numbers))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                nodes += 1
                opened.append(_open(event, opened, numbers))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                _add(opened, root, opened.pop().value)
        if nodes > MAX_NODES:
            raise _refused(event, f"holds more than {MAX_NODES} values")


def _open(event: yaml.CollectionStartEvent, opened: list[_Open], numbers: bool) -> _Open:
    is_mapping = isinstance(event, yaml.MappingStartEvent)
    if event.tag not in (None, "!", f"{_TAG}{'map' if is_mapping else 'seq'}"):
        raise _refused(event, f"the tag {event.tag!r} is not known here")
    if len(opened) >= MAX_DEPTH:
        raise _refused(event, f"is nested more than {MAX_DEPTH} deep")
    if opened and opened[-1].wants_key:
        raise _refused(event, "a key must be text, not a list or an object")
    above = opened[-1] if opened else None
    numbers = numbers if above is None else above.gives_numbers or above.key in _NUMBERS_BELOW
    return _Open({} if is_mapping else [], numbers)


def _begin(mapping: _Open, key: str, event: yaml.ScalarEvent) -> None:
    if key in mapping.value:
        raise _refused(event, f"the key {key[:80]!r} is given twice")
    mapping.key = key


def _add(opened: list[_Open], root: list[Json], value: Json) -> None:
    top = opened[-1] if opened else None
    if top is None:
        root.append(value)
    elif isinstance(top.value, list):
        top.value.append(value)
    elif top.key is not None:
        top.value[top.key] = value
        top.key = None


def _key(event: yaml.ScalarEvent) -> str:
    """A key is text as it is written: JSON knows no other keys."""
    if event.implicit[0] and event.value == "<<" and not event.tag:
        raise _refused(event, f"the merge key << is not taken; {_WRITE_IT_OUT}")
    return str(event.value)


def _scalar(event: yaml.ScalarEvent, numbers: bool) -> Scalar:
    text = event.value
    kind = (event.tag or "").removeprefix(_TAG)
    if event.tag in (None, "!") and event.implicit[0]:
        plain = _plain(text)
        return plain if numbers or plain is None or _spelled(plain) == text else text
    if event.tag in (None, "!") or kind == "str":
        return text
    if kind not in _TYPES:
        raise _refused(event, f"the tag {event.tag!r} is not known here")
    plain = _plain(text)
    if not isinstance(plain, _TYPES[kind]) or (kind != "bool" and isinstance(plain, bool)):
        raise _refused(event, f"{text[:80]!r} is not of the type {kind}")
    return plain


def _plain(text: str) -> Scalar:
    """What text without quotes is in the core schema; but for .inf and .nan, which JSON has no word for."""
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if len(text) > _MAX_DIGITS or text[0] not in "+-.0123456789":
        return text
    for shape, read in _NUMBERS:
        if shape.fullmatch(text):
            return read(text)
    return text


def _float(text: str) -> float | str:
    number = float(text)
    return number if abs(number) != float("inf") else text


_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], float | str]], ...] = (
    (_WHOLE, int),
    (_OCTAL, lambda text: int(text[2:], 8)),
    (_HEX, lambda text: int(text[2:], 16)),
    (_FLOAT, _float),
)


def _spelled(value: Scalar) -> str:
    """As JSON spells it."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _refused(event: yaml.Event, why: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=event.start_mark)  # type: ignore[arg-type] # libyaml's, too


def _place(mark: _Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than text."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # The core schema knows numbers that YAML 1.1 does not, such as 1e5.
    style = "'" if _plain(text) != text else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _text)
