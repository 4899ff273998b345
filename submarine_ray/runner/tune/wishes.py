"""What users want of a sweep that runs: more samples, and trials stopped. The driver asks the service.

One long question is open at a time (decisions/0007), on a thread. A service that is away changes nothing: the sweep
goes on as it was last told. What the driver has taken up it says with its next question, so that the service knows
which extensions came too late for this driver (decisions/0055).
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.parse
import urllib.request

from submarine_ray.spec.launch import Launch, Tune

WAIT_SECONDS = 20
ANSWER_SECONDS = 10.0  # beyond what the service may wait
AGAIN_SECONDS = 5.0
LAST_SECONDS = 5.0  # of the last question, for which the end of the sweep waits


class Wishes:
    """`samples` and `stopped` are what the service told last; `take_up` is called once the samples are seen to."""

    def __init__(self, launch: Launch, tune: Tune) -> None:
        self.samples = tune.num_samples
        self.stopped: frozenset[str] = frozenset()
        self._taken_up = tune.num_samples
        self._told: int | None = None  # what the service knows to be taken up
        self._version = ""
        self._url = launch.wishes_address() if launch.service_url else None
        self._submission = launch.submission_id
        self._token = launch.tracking.token if launch.tracking else None
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin to ask."""
        if self._url:
            threading.Thread(target=self._ask_on, name="wishes", daemon=True).start()

    def take_up(self, samples: int) -> None:
        """From now on the sweep makes so many: it does not end before they are made."""
        self._taken_up = samples

    def close(self) -> None:
        """Say what has been taken up, if the service has not heard."""
        self._closing.set()
        if self._url and self._told not in (None, self._taken_up):
            try:
                self._ask(0, LAST_SECONDS)
            except OSError as failure:
                print(f"[submarine] the service did not hear how many samples were tried: {failure}", flush=True)

    def _ask_on(self) -> None:
        while not self._closing.is_set():
            try:
                self._ask(WAIT_SECONDS, WAIT_SECONDS + ANSWER_SECONDS)
            except urllib.error.HTTPError as failure:
                if 400 <= failure.code < 500 and failure.code != 429:  # it is nobody's driver any more
                    return
                self._closing.wait(AGAIN_SECONDS)
            except OSError:
                self._closing.wait(AGAIN_SECONDS)

    def _ask(self, wait: int, timeout: float) -> None:
        """Raises OSError if there is no answer, or another's."""
        taken_up = self._taken_up
        said = {"submission": self._submission, "samples": taken_up, "heard": self._version, "wait": wait}
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        url = f"{self._url}?{urllib.parse.urlencode(said)}"
        request = urllib.request.Request(url, data=b"", headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                found = json.loads(answer.read())["result"]
            version, samples, stopped = str(found["version"]), int(found["numSamples"]), frozenset(found["stopped"])
        except (ValueError, LookupError, TypeError, http.client.HTTPException) as failure:
            raise OSError(f"the answer is not the service's ({failure!r})"[:200]) from failure
        self._told = taken_up
        self._version, self.samples, self.stopped = version, max(samples, self.samples), stopped
