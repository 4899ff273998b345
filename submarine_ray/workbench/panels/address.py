"""A workspace in a URL: its filter as it is written, and its panels packed."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from pydantic import ValidationError

from submarine_ray.spec.panels import Workspace, short_document

MOST_BYTES = 64 * 1024
_RUNS = ("filter", "sort", "most", "group")
_SAVED, _PACKED = "workspace", "w"


@dataclass(frozen=True)
class Asked:
    """What a URL asks for: a saved workspace by its id, and what differs from it. `is_arranged`: it says panels."""

    saved: str
    said: Mapping[str, object]
    is_arranged: bool

    def workspace(self, base: Workspace) -> Workspace:
        """`base` with what the URL says; what cannot be read is left out."""
        found = base
        for name, value in self.said.items():
            try:
                found = Workspace.model_validate({**found.model_dump(by_alias=True), name: value})
            except ValidationError:
                continue
        return found


def read(query: Mapping[str, str]) -> Asked:
    """What a URL's query asks for."""
    said: dict[str, object] = {name: query[name] for name in _RUNS if query.get(name)}
    packed = unpacked(query.get(_PACKED, ""))
    said |= {name: packed[name] for name in ("hidden", "panels") if name in packed}
    return Asked(query.get(_SAVED, "")[:80], said, "panels" in packed)


def wrong_filter(query: Mapping[str, str]) -> str | None:
    """Why the URL's filter cannot be read; None if it can."""
    try:
        Workspace.model_validate({"filter": query.get("filter", "")})
    except ValidationError as failure:
        return str(failure.errors()[0]["msg"]).removeprefix("Value error, ")
    return None


def charts(workspace: Workspace | None = None, saved: str = "", base: Workspace | None = None) -> str:
    """The page of charts that shows a workspace; `base` is the document of the one that is saved under `saved`."""
    said: dict[str, str] = {_SAVED: saved} if saved else {}
    shown, before = workspace or Workspace(), base or Workspace()
    for name in _RUNS:
        if getattr(shown, name) != getattr(before, name):
            said[name] = str(getattr(shown, name))
    rest: dict[str, object] = {}
    if shown.panels != before.panels:
        rest["panels"] = [short_document(panel) for panel in shown.panels]
    if shown.hidden != before.hidden:
        rest["hidden"] = shown.hidden
    if rest:
        said[_PACKED] = packed(rest)
    return "/charts" + (f"?{urlencode(said)}" if said else "")


def packed(document: Mapping[str, object]) -> str:
    """A document in few characters that a URL may hold."""
    text = json.dumps(document, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.compress(text, 9)).decode().rstrip("=")


def unpacked(text: str) -> Mapping[str, object]:
    """The document in a URL; nothing if there is none, or if it is larger than any that is kept."""
    try:
        given = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        opener = zlib.decompressobj()
        found = opener.decompress(given, MOST_BYTES)
        document = json.loads(found) if opener.eof else None
    except (ValueError, binascii.Error, zlib.error, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
