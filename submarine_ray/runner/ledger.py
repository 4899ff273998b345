"""Ask the control service before the attempt begins: whether it may, and on some clusters what it is to run.

Clusters exist that start an attempt twice, and clusters whose records of jobs others may read: there the job has a
ticket instead of its launch, which is good for one run.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from submarine_ray.runner.errors import BegunBefore, ServiceNotReached
from submarine_ray.spec.launch import Launch

ANSWER_SECONDS = 5.0
# For how long a service that does not answer is asked again; then the attempt begins without its word.
PATIENCE_SECONDS = 30.0
# And where it has the launch: as long as a restart of the service takes, or a person who has to see to it.
FETCH_PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 1.0
NOTICE_SECONDS = 60.0


def begin(launch: Launch, url: str) -> None:
    """Raises BegunBefore if another run has begun this attempt, or nobody wants it any more."""
    asked = f"{url}?{urllib.parse.urlencode({'submission': launch.submission_id})}"
    try:
        _asked(asked, launch.tracking.token if launch.tracking else None, PATIENCE_SECONDS)
    except OSError as failure:
        print(f"[submarine] the service was not asked whether this attempt may begin: {failure}", flush=True)


def fetch(url: str, ticket: str) -> Launch:
    """The launch that the ticket is for.

    Raises BegunBefore if another run has fetched it, or nobody wants it any more; ServiceNotReached.
    """
    try:
        return Launch.loads(json.dumps(_asked(url, ticket, FETCH_PATIENCE_SECONDS)["launch"]))
    except (OSError, ValueError, TypeError, LookupError) as failure:
        said = _said(failure) if isinstance(failure, urllib.error.HTTPError) else str(failure)
        raise ServiceNotReached(
            f"the attempt failed: what it is to run could not be fetched from {_host(url)}: {said}. The cluster must "
            "reach the service there; SUBMARINE_PUBLIC_URL, where the service runs, is the address that it gives to "
            "clusters"
        ) from failure


def _asked(url: str, token: str | None, patience: float) -> dict[str, Any]:
    """The service's answer, asked by one run under one word of its own. Raises BegunBefore, OSError."""
    request = urllib.request.Request(
        f"{url}&run={os.urandom(16).hex()}",
        data=b"",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        method="POST",
    )
    begun = time.monotonic()
    noticed = begun - NOTICE_SECONDS + ANSWER_SECONDS
    while True:
        try:
            answer = _answer(request)
            break
        except OSError as failure:
            now = time.monotonic()
            if _is_final(failure) or now > begun + patience:
                raise
            if now > noticed + NOTICE_SECONDS:
                noticed = now
                print(f"[submarine] waiting for the service at {_host(url)}: {failure}", flush=True)
        time.sleep(PAUSE_SECONDS)
    if not answer["mayBegin"]:
        raise BegunBefore(f"this attempt may not begin: {answer['why']}")
    return answer


def _answer(request: urllib.request.Request) -> dict[str, Any]:
    """Raises OSError if there is no answer, or another's: a proxy's page."""
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            found = json.loads(answer.read())["result"]
            return {"mayBegin": found["mayBegin"], "why": found.get("why"), "launch": found.get("launch")}
    except (ValueError, LookupError, TypeError, AttributeError, http.client.HTTPException) as failure:
        raise OSError(f"the answer is not the service's ({failure!r})"[:200]) from failure


def _is_final(failure: OSError) -> bool:
    """Whether asking again would be the same: the service of another version, another token."""
    return isinstance(failure, urllib.error.HTTPError) and 400 <= failure.code < 500 and failure.code != 429


def _said(failure: urllib.error.HTTPError) -> str:
    """The service's own sentence, where it has sent one."""
    try:
        return f"HTTP {failure.code}: {json.loads(failure.read())['message']}"[:500].rstrip(".")
    except (OSError, ValueError, LookupError, TypeError):
        return str(failure)


def _host(url: str) -> str:
    return url.split("/api/", 1)[0]
