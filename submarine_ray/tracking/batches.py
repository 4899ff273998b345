"""A batch of points as it comes over HTTP: expanded within bounds, and read (spec/spool/batches.py)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import orjson

from submarine_ray.core.errors import InvalidSpec, TooLarge
from submarine_ray.spec.spool import batches
from submarine_ray.spec.spool.batches import MAX_EXPANDED_BYTES, Batch, TooMany, WrongBatch, check_flat

_EXPANDED = ("", "identity")
_COMPRESSED = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 47  # zlib's wbits: whichever the first bytes say
_SHOWN = 80


def expanded(body: bytes, encoding: str) -> bytes:
    """A request's body without its compression. Raises InvalidSpec, TooLarge as soon as it is over the limit."""
    encoding = encoding.strip().lower()
    if encoding in _EXPANDED:
        found, is_whole, rest = body[: MAX_EXPANDED_BYTES + 1], True, b""
    elif encoding in _COMPRESSED:
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            found = stream.decompress(body, MAX_EXPANDED_BYTES + 1)
        except zlib.error as failure:
            raise InvalidSpec(f"it is not {encoding}: {failure}", "the body") from failure
        is_whole, rest = stream.eof, stream.unused_data
    else:
        raise InvalidSpec(f"{encoding[:_SHOWN]!r} is not understood; use gzip, deflate or none", "Content-Encoding")
    if len(found) > MAX_EXPANDED_BYTES:
        raise TooLarge(f"The batch is larger than {MAX_EXPANDED_BYTES} bytes when expanded; send several.")
    if not is_whole or rest:
        raise InvalidSpec("its compressed form is cut off, or something follows it", "the body")
    return found


def parsed(body: bytes, check_key: Callable[[str, int], None]) -> Batch:
    """The batch that a body of JSON holds. `check_key` raises for a name, with its place in `keys`, that is none.

    Raises InvalidSpec, which names the field and the place; TooLarge.
    """
    with _told():
        check_flat(body)
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as failure:
            raise InvalidSpec(f"it is not JSON: {failure}", "the body") from failure
        return Batch.read(document, check_key)


def checked_writer(writer: str) -> str:
    """The name of a writer. Raises InvalidSpec."""
    with _told():
        return batches.checked_writer(writer)


@contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a batch, in the service's errors."""
    try:
        yield
    except TooMany as failure:
        raise TooLarge(f"{failure.field}: {failure}.") from failure
    except WrongBatch as failure:
        raise InvalidSpec(str(failure), failure.field) from failure
