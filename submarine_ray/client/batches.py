"""Our service's own way for points, beside MLflow's API: columns, compressed, numbered. Standard library only."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from urllib.parse import quote

from submarine_ray.client.mlflow_rest import MlflowRest, ServerUnavailable
from submarine_ray.client.spool import TrackingRefused
from submarine_ray.spec.spool import batches
from submarine_ray.spec.spool.batches import Batch, Points, Row

# Where our service mounts MLflow: what is beside it is ours.
_MOUNT = "/mlflow"
_LEVEL = 1  # of compression: the fastest, which makes a fifth of it
_ENVELOPE = {"status", "code", "success"}  # of each answer of our service, an error's too (core/envelope.py)
_HEADERS = {"Content-Type": "application/json", "Content-Encoding": "deflate"}


class Batches:
    """A run's points on their way to our service, numbered by where they end in the spool."""

    def __init__(self, rest: MlflowRest, run_id: str, writer: str) -> None:
        self._rest = rest
        self._writer = writer
        self._path = rest.prefix.removesuffix(_MOUNT) + batches.path(run_id)

    def stored(self) -> int | None:
        """Up to where the spool is stored; None where the server is not ours, or an older one. Raises OSError."""
        if not self._rest.prefix.endswith(_MOUNT):
            return None
        try:
            answer = self._rest.call("GET", f"{self._path}?writer={quote(self._writer)}")
            return int(answer["result"]["sequence"])
        except (TrackingRefused, KeyError, TypeError, ValueError):
            return None  # MLflow's own API will say what is wrong, if something is

    def send(self, rows: Sequence[Row], after: int, end: int) -> None:
        """Store what the spool holds up to `end`, once. Raises OSError, TrackingRefused."""
        body = Batch(self._writer, after, end, Points.of(rows)).written()
        self._rest.call("POST", self._path, zlib.compress(body, _LEVEL), _HEADERS)


def is_of_our_service(failure: OSError) -> bool:
    """Whether our own service said that it cannot serve now, for example while it starts."""
    if not isinstance(failure, ServerUnavailable):
        return False
    try:
        answer = json.loads(failure.content)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.keys() >= _ENVELOPE
