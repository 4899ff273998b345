"""How large a document may be in other ways than its bytes: how deep, how many values, which numbers and texts.

JSON is looked at before it is read, in time that grows with its length: a reader of deep JSON ends in a RecursionError,
and a megabyte of `[],[],` becomes fifty of Python's objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn, TypeAlias

from submarine_ray.spec.json_types import Json

MAX_DEPTH = 100
MAX_NODES = 20_000
MAX_DIGITS = 400  # the largest number that a float holds has 309
MAX_INTEGER, MIN_INTEGER = 2**63 - 1, -(2**63)  # of every database's widest column

# Also one that nothing closes: else each quote in it would be searched to the end.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class OutOfBounds(ValueError):
    """The document is not taken; the message says why, in a line, and names the place where there is one."""


def scan(text: bytes, nodes: int = MAX_NODES, nests_in_texts: bool = False) -> None:
    """Raises OutOfBounds for JSON that is too deep, has more than `nodes` values or a number of too many digits.

    With `nests_in_texts` the texts in it are documents too, and no deeper.
    """
    bare = text if nests_in_texts else _STRING.sub(b'""', text)
    opened = bare.count(b"[") + bare.count(b"{")
    if opened > MAX_DEPTH and _depth(bare.translate(None, _NOT_BRACKETS)) > MAX_DEPTH:
        raise OutOfBounds(f"is nested more than {MAX_DEPTH} deep")
    if opened + bare.count(b",") > nodes:
        raise OutOfBounds(f"holds more than {nodes} values")
    if _LONG_NUMBER.search(bare):
        raise OutOfBounds(f"has a number of more than {MAX_DIGITS} digits")


def _depth(brackets: bytes) -> int:
    depth = deepest = 0
    for bracket in brackets:
        if bracket in b"[{":
            depth += 1
            deepest = max(depth, deepest)
        else:
            depth -= 1
    return deepest


def json_in(body: bytes) -> bytes | None:
    """What MLflow takes for JSON, in UTF-8: also of UTF-16 and UTF-32, with a mark of that, and what stands in a text,
    as its oldest clients send it. None for what is none of these.
    """
    encoding = json.detect_encoding(body)
    if encoding != "utf-8":
        try:
            body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return None
    body = body.lstrip()
    if body[:1] == b'"':
        try:
            body = str(json.loads(body)).encode("utf-8", "surrogatepass").lstrip()
        except ValueError:
            return None
    return body if body[:1] in (b"{", b"[") else None


def read_json(text: bytes) -> Json:
    """The document in the text. Raises OutOfBounds for what is not JSON, too."""
    scan(text)
    try:
        decoded = text.decode("utf-8")
        found: Json = json.loads(decoded, parse_constant=_no_number)
    except UnicodeDecodeError as failure:
        raise OutOfBounds(f"is not UTF-8: {failure.reason} at byte {failure.start}") from failure
    except json.JSONDecodeError as failure:
        raise OutOfBounds(f"is not valid JSON: {failure.msg} at position {failure.pos}") from failure
    return found


def _no_number(name: str) -> NoReturn:
    raise OutOfBounds(f"is not valid JSON: {name} is not a number there; write null or text")


def check(document: object) -> None:
    """Raises OutOfBounds for integers beyond 64 bits, infinite numbers, NULs and halves of characters, by their place.

    Databases, files and other processes take none of them: later each would be a failure of the service's own.
    """
    for value, place in _leaves(document):
        if isinstance(value, str):
            if why := _wrong_text(value):
                raise OutOfBounds(f"{_written(place)}: {why}")
        elif isinstance(value, float):
            if value in (float("inf"), float("-inf")):
                raise OutOfBounds(f"{_written(place)}: is beyond the largest number")
        elif isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
            raise OutOfBounds(f"{_written(place)}: is an integer of more than 64 bits; write it as text")


def _wrong_text(text: str) -> str | None:
    if "\0" in text:
        return "has a NUL character, which no name, path or program's argument can have"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as failure:
        return f"has half of a character (\\u{ord(text[failure.start]):04x}), which no UTF-8 can say"
    return None


# (the place above, the key), so that a place costs the same at any depth
Position: TypeAlias = "tuple[Position, object] | tuple[()]"


def _leaves(document: object) -> Iterator[tuple[object, Position]]:
    """Every value that holds no others, and every key; without recursion."""
    waiting: list[tuple[object, Position]] = [(document, ())]
    while waiting:
        value, place = waiting.pop()
        if isinstance(value, dict):
            for key, below in value.items():
                yield key, (place, key)
                waiting.append((below, (place, key)))
        elif isinstance(value, list):
            waiting += [(below, (place, index)) for index, below in enumerate(value)]
        else:
            yield value, place


def _written(position: Position) -> str:
    keys: list[str] = []
    while position:
        position, key = position
        keys.append(str(key)[:80].encode("ascii", "backslashreplace").decode().replace("\0", "\\0"))
    return ".".join(reversed(keys)) or "the body"
