"""Uncompresses bodies, within a limit: half a megabyte of gzip can be a gigabyte of zeros."""

from __future__ import annotations

import zlib

_ANY_WINDOW = 32  # added to the window's size: zlib tells gzip from deflate by itself
PIECE = 2**16


class CannotExpand(ValueError):
    """The body is not what its Content-Encoding says; the message is a sentence."""


class TooMuch(Exception):
    """The body is larger than its bound."""


def is_known(encodings: list[str]) -> bool:
    return all(one in ("gzip", "x-gzip", "deflate", "identity") for one in encodings)


def expanded(body: bytes, encodings: list[str], limit: int) -> bytes:
    """The body without its encodings, in the order that they were applied.

    Raises CannotExpand; TooMuch as soon as it is more than `limit` bytes, at any step.
    """
    for encoding in reversed(encodings):
        if encoding != "identity":
            body = _inflated(body, limit)
    return body


def _inflated(body: bytes, limit: int) -> bytes:
    try:
        return _members(body, limit, zlib.MAX_WBITS + _ANY_WINDOW)
    except zlib.error:
        pass
    try:
        return _members(body, limit, -zlib.MAX_WBITS)  # deflate without zlib's header, as some programs send it
    except zlib.error as failure:
        raise CannotExpand(f"The body is not what its Content-Encoding says: {failure}.") from failure


def _members(body: bytes, limit: int, window: int) -> bytes:
    """gzip may consist of several members, one after another."""
    found = bytearray()
    rest = memoryview(body)
    while rest:
        inflate = zlib.decompressobj(window)
        at = 0
        while not inflate.eof:
            if at >= len(rest):
                raise zlib.error("it ends too early")
            piece = bytes(rest[at : at + PIECE])
            at += len(piece)
            found += inflate.decompress(piece, limit + 1 - len(found))
            if len(found) > limit:
                raise TooMuch
        rest = rest[at - len(inflate.unused_data) :]
    return bytes(found)
