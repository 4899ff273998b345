"""The body limit of each route. Routes that are not listed have SUBMARINE_MAX_BODY_BYTES."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from submarine_ray.core.http import PACKAGE_PATH
from submarine_ray.core.settings import Settings
from submarine_ray.spec.bounds import MAX_NODES
from submarine_ray.spec.spool.batches import MAX_EXPANDED_BYTES
from submarine_ray.spec.spool.media import MAX_BATCH_BYTES

MIB = 2**20
# MLflow's own limit of a request to log a batch is 1 MB; traces with pictures are larger.
TRACKING_BYTES = 16 * MIB
TRACKING_NODES = 1_000_000
# Its parser takes two seconds a megabyte, before MLflow counts what is asked; its pages ask in 3 KiB.
GRAPHQL_BYTES = 2**17


class Way(Enum):
    """What becomes of a body before the route gets it."""

    DOCUMENT = "read whole, and as JSON or YAML"
    WHOLE = "read whole, uncompressed; JSON is looked at, for how deep it is and how much it holds"
    STREAM = "passed on as it comes, and counted"


@dataclass(frozen=True)
class Bound:
    """The most that a body may have: `bytes` as sent and uncompressed, `nodes` where it is JSON; what sets it; whether
    texts in it are documents again.
    """

    bytes: int
    way: Way
    nodes: int = MAX_NODES
    setting: str = ""
    nests_in_texts: bool = False

    @property
    def sentence(self) -> str:
        """What is answered beyond it."""
        return f"The body is larger than {self.bytes} bytes{f', which {self.setting} sets' if self.setting else ''}."


class Table:
    """The bound of each path."""

    def __init__(self, settings: Settings) -> None:
        stream = Bound(settings.max_upload_bytes, Way.STREAM, setting="SUBMARINE_MAX_UPLOAD_BYTES")
        package = Bound(settings.max_package_bytes, Way.STREAM, setting="SUBMARINE_MAX_PACKAGE_BYTES")
        body = Bound(settings.max_body_bytes, Way.WHOLE, setting="SUBMARINE_MAX_BODY_BYTES")
        document = Bound(settings.max_body_bytes, Way.DOCUMENT, setting="SUBMARINE_MAX_BODY_BYTES")
        tracking = Bound(max(TRACKING_BYTES, settings.max_body_bytes), Way.WHOLE, TRACKING_NODES)
        graphql = Bound(GRAPHQL_BYTES, Way.WHOLE, nests_in_texts=True)
        batch = Bound(MAX_EXPANDED_BYTES, Way.STREAM)  # its route expands it within bounds of its own
        # (beginning, end, bound): the first that fits.
        self._rows = (
            (PACKAGE_PATH, "", package),
            ("/api/v1/run/", "/batch", batch),
            ("/api/v1/run/", "/media", Bound(MAX_BATCH_BYTES, Way.STREAM)),
            ("/api/v1/", "", document),
            ("/mlflow/api/2.0/mlflow-artifacts/artifacts/", "", stream),
            ("/mlflow/ajax-api/2.0/mlflow-artifacts/artifacts/", "", stream),
            ("/mlflow/graphql", "", graphql),
            ("/mlflow/", "", tracking),
            ("/notebook/", "", stream),
            ("/ray/", "", stream),
        )
        self._others = body

    def of(self, path: str) -> Bound:
        for beginning, end, bound in self._rows:
            if path.startswith(beginning) and path.endswith(end):
                return bound
        return self._others
