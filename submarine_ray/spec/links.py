"""Symbolic links in an archive: where they lead, found out before anything is written."""

from __future__ import annotations

import os
from collections.abc import Mapping

HOPS = 40  # as many as Linux follows
STEPS = 1024  # parts of paths, for one link: thousands of long ones must not take minutes


def leads_out(name: str, target: str) -> bool:
    """Whether a link called `name` leads out of the directory that it is unpacked to, taken by its words alone."""
    end = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120 (text, no path here)
    return os.path.isabs(target) or end == ".." or end.startswith("../")  # noqa: PTH117


def resolves_inside(name: str, links: Mapping[str, str]) -> bool:
    """Whether a path stays inside when all links on its way are followed; `links` are names with their targets."""
    reached: list[str] = []
    ahead = list(reversed(name.split("/")))
    hops = steps = 0
    while ahead:
        steps += 1
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not reached:
                return False
            reached.pop()
            continue
        target = links.get("/".join([*reached, part]))
        if target is None:
            reached.append(part)
            continue
        hops += 1
        if hops > HOPS or steps > STEPS or target.startswith("/"):
            return False
        ahead += reversed(target.split("/"))
    return True
