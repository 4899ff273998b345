"""Python packages as pip takes them: a requirement by name (PEP 508), a URL, a repository, or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable

# What pip installs from where it lies: a URL, a version control system's, or a path.
_PLACE = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9+.-]*://|git\+|\.{0,2}/|.*\.(?:whl|tar\.gz|zip)$)")
# Behind a requirement pip takes a comment, and options such as --hash.
_BEHIND = re.compile(r"\s(?:#|--).*")


def check_requirements(listed: Iterable[str]) -> None:
    """Raises ValueError for the first that pip would not understand."""
    from packaging.requirements import InvalidRequirement, Requirement

    for one in listed:
        text = _BEHIND.sub("", one).strip()
        if one.startswith("-") or not text or "\n" in one:
            raise ValueError(f"{one!r} is not a package requirement; write for example 'pandas==2.2.3'")
        if _PLACE.match(text):
            continue
        try:
            Requirement(text)
        except InvalidRequirement as failure:
            why = str(failure).splitlines()[0].rstrip(":")
            raise ValueError(
                f"{one[:200]!r} is not a package requirement; write for example 'pandas==2.2.3' ({why})"
            ) from failure
