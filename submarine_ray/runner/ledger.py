"""Ask the control service whether this attempt may begin: clusters exist that start one twice."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from submarine_ray.runner.errors import BegunBefore
from submarine_ray.spec.launch import Launch

ANSWER_SECONDS = 5.0
# For how long a service that does not answer is asked again; then the attempt begins without its word.
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 1.0


def begin(launch: Launch, url: str) -> None:
    """Raises BegunBefore if another run has begun this attempt, or nobody wants it any more."""
    asked = urllib.parse.urlencode({"submission": launch.submission_id, "run": os.urandom(16).hex()})
    token = launch.tracking.token if launch.tracking else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{url}?{asked}", data=b"", headers=headers, method="POST")
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = _answer(request)
            break
        except OSError as failure:
            if _is_final(failure) or time.monotonic() > until:
                print(f"[submarine] the service was not asked whether this attempt may begin: {failure}", flush=True)
                return
        time.sleep(PAUSE_SECONDS)
    if not answer["mayBegin"]:
        raise BegunBefore(f"this attempt may not begin: {answer['why']}")


def _answer(request: urllib.request.Request) -> dict[str, Any]:
    """Raises OSError if there is no answer, or another's: a proxy's page."""
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            found = json.loads(answer.read())["result"]
            return {"mayBegin": found["mayBegin"], "why": found.get("why")}
    except (ValueError, LookupError, TypeError, AttributeError, http.client.HTTPException) as failure:
        raise OSError(f"the answer is not the service's ({failure!r})"[:200]) from failure


def _is_final(failure: OSError) -> bool:
    """Whether asking again would be the same: the service of another version, another token."""
    return isinstance(failure, urllib.error.HTTPError) and 400 <= failure.code < 500 and failure.code != 429
