"""The kind of a Ray cluster that is reached over the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from submarine_ray.clusters.drivers.addresses import check_address
from submarine_ray.clusters.drivers.base import Driver
from submarine_ray.clusters.drivers.dashboards import Dashboard, bearer
from submarine_ray.clusters.drivers.disk import Disk
from submarine_ray.clusters.drivers.kinds import Capabilities, Check, Means
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.spec.clusters import RayClusterSpec
from submarine_ray.spec.experiment import EnvironmentSpec, ExperimentSpec
from submarine_ray.spec.json_types import JsonObject


@dataclass(frozen=True)
class RayAddress:
    """Where a Ray cluster answers, and with which token; of the local one, Ray's `directory` too."""

    url: str
    token: str | None
    directory: Path | None = None

    def connect(self, means: Means) -> Driver:
        disk = Disk(means.settings.layout, self.directory) if self.directory else None
        timeout = means.settings.cluster_timeout_seconds
        return RayJobs(self.dashboard(means), means.packages, timeout, disk, means.launches)

    def dashboard(self, means: Means) -> Dashboard:
        # The local cluster is the platform's own; every other address is somebody's word.
        return Dashboard(self.url, bearer(self.token), outgoing=None if self.directory else means.outgoing)


class RayKind:
    """See kinds.Kind."""

    def capabilities(self, row: ClusterRow) -> Capabilities:
        return Capabilities()

    def check(self, spec: RayClusterSpec, settings: Settings) -> None:
        check_address("address", spec.address, Outgoing(settings.allow_cluster_networks))

    def columns(self, spec: RayClusterSpec, secrets: SecretBox) -> dict[str, object]:
        token = secrets.seal(spec.token.get_secret_value()) if spec.token else None
        return {"address": spec.address, "sealed_token": token}

    def address(self, row: ClusterRow, means: Means) -> RayAddress:
        return RayAddress(row.address or "", means.opened(row.sealed_token))

    def serve_url(self, row: ClusterRow, endpoint: str, settings: Settings) -> str:
        return row.serve_url or f"http://{(row.address or '').split('//')[-1].split(':')[0]}:8000"

    def serve_http_options(self, settings: Settings) -> JsonObject:
        return {"host": "0.0.0.0", "port": 8000}  # noqa: S104 (inside a remote cluster)

    def checks(self, row: ClusterRow, means: Means) -> list[Check] | None:
        return None

    def check_experiment(self, row: ClusterRow, spec: ExperimentSpec, environment: EnvironmentSpec | None) -> None:
        """Whatever Ray takes."""

    def by_hand(self, row: ClusterRow) -> str | None:
        return None

    def described(self, row: ClusterRow) -> dict[str, object]:
        return {}


KIND = RayKind()
