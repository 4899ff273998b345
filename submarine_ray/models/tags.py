"""Tags as MLflow's registry keeps them: `submarine.tag.<tag>` with the value `true`.

MLflow's keys have at most 250 characters, and not every character. A tag that is none is the value of a key made of its
hash: so each tag has one key, and is there once.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping

from submarine_ray.core.errors import InvalidSpec
from submarine_ray.spec.experiment import check_tag
from submarine_ray.spec.tags import USER_TAGS

_PRESENT = "true"
_KEY = re.compile(r"[/\w.\- :]{1,250}")


def keyed(tag: str) -> tuple[str, str]:
    """MLflow's key and value of a tag. Raises InvalidSpec."""
    try:
        key = f"{USER_TAGS}{check_tag(tag)}"
    except ValueError as failure:
        raise InvalidSpec(str(failure), "tag") from failure
    if _KEY.fullmatch(key) and posixpath.normpath(key) == key:
        return key, _PRESENT
    return f"{USER_TAGS}sha256:{hashlib.sha256(tag.encode()).hexdigest()}", tag


def as_mlflow(tags: Iterable[str]) -> dict[str, str]:
    """Some tags, as MLflow keeps them. Raises InvalidSpec."""
    return dict(keyed(tag) for tag in tags)


def of_mlflow(tags: Mapping[str, str]) -> list[str]:
    """The tags among MLflow's, in order."""
    ours = ((key, value) for key, value in tags.items() if key.startswith(USER_TAGS))
    return sorted(key.removeprefix(USER_TAGS) if value == _PRESENT else value for key, value in ours)
