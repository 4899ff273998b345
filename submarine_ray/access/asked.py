"""A request as scopes look at it: its method and path, what its query and its JSON body say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from submarine_ray.core.http import Scope

_CAPITAL = re.compile(r"(?<!^)([A-Z])")


class Outside(Exception):
    """The request is not for this holder; the message says what is missing, if anything can be said."""


class Unreadable(Exception):
    """The body is not what it must be for anyone to say whose it is."""


@dataclass
class Asked:
    """`body` is the JSON document that was sent, where a rule asked for it; a rule may change it."""

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: Scope) -> Asked:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        method, path = str(scope.get("method", "GET")), str(scope["path"])
        # MLflow takes what a HEAD asks for from its body, as of a POST: there it stays what it is, and is closed.
        return cls("GET" if method == "HEAD" and not path.startswith("/mlflow/") else method, path, query)

    def read(self, content: bytes) -> None:
        """Take the body. Raises Unreadable."""
        if not content:
            return
        try:
            document = json.loads(content.decode())
            if b"\\u" in content:
                json.dumps(document, ensure_ascii=False).encode()  # halves of characters can be stored nowhere
        except (ValueError, RecursionError) as failure:
            raise Unreadable(f"The body is not JSON: {failure}"[:300]) from failure
        if not isinstance(document, dict):
            raise Unreadable("The body must be a JSON object.")
        # MLflow takes `runId` for `run_id`; from here on there is one spelling, and nothing to hide behind the other.
        for key, value in document.items():
            plain = _CAPITAL.sub(lambda found: f"_{found[1].lower()}", key)
            if plain in self.body:
                raise Unreadable(f"The body says {plain!r} twice.")
            self.body[plain] = value

    def written(self) -> bytes:
        """The body as the application gets it."""
        return json.dumps(self.body).encode()

    def said(self, *names: str) -> list[str]:
        """All values that the body or the query has under these names."""
        found: list[Any] = [self.body[name] for name in names if self.body.get(name) not in (None, "")]
        found += [value for name in names for value in self.query.get(name, ())]
        return [str(one) for one in found]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The objects of a list in the body; anything else in it is MLflow's to refuse."""
        found = self.body.get(name)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
