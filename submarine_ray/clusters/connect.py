"""From a registered cluster to its driver, kept while the registration stays the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from submarine_ray.clusters.drivers.base import Driver, Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard, bearer
from submarine_ray.clusters.drivers.disk import Disk
from submarine_ray.clusters.drivers.kuberay.api import KubeApi
from submarine_ray.clusters.drivers.kuberay.credentials import Credentials, parse, servers
from submarine_ray.clusters.drivers.kuberay.dedicated import DedicatedClusters
from submarine_ray.clusters.drivers.kuberay.namespace import Namespace, Place
from submarine_ray.clusters.drivers.kuberay.shared import SharedCluster
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.clusters.launches import Launches
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.networks import AddressRefused, Outgoing
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.packages.service import PackageService
from submarine_ray.spec.clusters import LOCAL_CLUSTER, KubeRayClusterSpec


@dataclass(frozen=True)
class RayAddress:
    """Where a Ray cluster answers, and with which token; of the local one, Ray's `directory` too."""

    url: str
    token: str | None
    directory: Path | None = None


@dataclass(frozen=True)
class KubeAddress:
    """A registration on Kubernetes: its spec as text, its id, its kubeconfig if it was sent."""

    spec: str
    uid: str
    kubeconfig: str | None


Address = RayAddress | KubeAddress


class Connections:
    """Drivers by cluster. `notify(ids)` is called with experiments and notebooks whose cluster tells of a change."""

    def __init__(
        self,
        settings: Settings,
        secrets: SecretBox,
        packages: PackageService,
        launches: Launches,
        notify: Callable[[frozenset[str]], None],
    ) -> None:
        self._settings = settings
        self._launches = launches
        self._secrets = secrets
        self._packages = packages
        self._notify = notify
        self.outgoing = Outgoing(settings.allow_cluster_networks)
        self._drivers: dict[str, tuple[Address, Driver]] = {}
        self._lock = threading.Lock()

    def driver(self, row: ClusterRow) -> Driver:
        """The cluster's driver, made anew when its registration changed. Raises Unreachable if it has none now."""
        address = self._address(row)
        with self._lock:
            known = self._drivers.get(row.name)
            if known and known[0] == address:
                return known[1]
            driver = self._connect(address)
            self._drivers[row.name] = (address, driver)
        if known:
            known[1].close()
        return driver

    def forget(self, name: str) -> None:
        with self._lock:
            known = self._drivers.pop(name, None)
        if known:
            known[1].close()

    def close(self) -> None:
        with self._lock:
            for _, driver in self._drivers.values():
                driver.close()
            self._drivers.clear()

    def kube_api(self, row: ClusterRow) -> KubeApi:
        """A connection of its own to the row's API server, for checks."""
        return self._kube_api(kube_spec(row), self._open(row.sealed_kubeconfig))

    def local_state(self) -> dict[str, Any] | None:
        """What `submarine up` wrote; read each time, because a restarted cluster may answer elsewhere."""
        try:
            state: dict[str, Any] = json.loads(self._settings.layout.ray_state.read_text())
            return state
        except (OSError, ValueError):
            return None

    def dashboard(self, row: ClusterRow) -> Dashboard:
        """Its one Ray dashboard. Raises Unreachable."""
        address = self._address(row)
        if not isinstance(address, RayAddress):
            raise Unreachable("it has no Ray dashboard of its own: each of its RayClusters has one, inside Kubernetes")
        return self._dashboard(address)

    def _address(self, row: ClusterRow) -> Address:
        if row.kind == "kuberay":
            return KubeAddress(row.spec.text if row.spec else "", row.uid or "", self._open(row.sealed_kubeconfig))
        if row.kind != LOCAL_CLUSTER:
            return RayAddress(row.address or "", self._open(row.sealed_token))
        state = self.local_state()
        if state is None:
            raise Unreachable("the local Ray cluster is not running; start it with `submarine up`")
        token = self._settings.layout.ray_token.read_text().strip()
        return RayAddress(state["address"], token, Path(state["directory"]))

    def _open(self, sealed: str | None) -> str | None:
        return self._secrets.open(sealed) if sealed else None

    def _connect(self, address: Address) -> Driver:
        timeout = self._settings.cluster_timeout_seconds
        if isinstance(address, RayAddress):
            disk = Disk(self._settings.layout, address.directory) if address.directory else None
            return RayJobs(self._dashboard(address), self._packages, timeout, disk, self._launches)
        spec = KubeRayClusterSpec.model_validate_json(address.spec)
        api = self._kube_api(spec, address.kubeconfig)
        namespace = Namespace(Place(spec, address.uid, api, self._packages, timeout, self._launches, self._notify))
        return SharedCluster(namespace) if spec.mode == "shared" else DedicatedClusters(namespace)

    def _dashboard(self, address: RayAddress) -> Dashboard:
        # The local cluster is the platform's own; every other address is somebody's word.
        outgoing = None if address.directory else self.outgoing
        return Dashboard(address.url, bearer(address.token), outgoing=outgoing)

    def _kube_api(self, spec: KubeRayClusterSpec, kubeconfig: str | None) -> KubeApi:
        for server in servers(parse(kubeconfig, spec.context)) if kubeconfig else ():
            try:
                self.outgoing.check(urlsplit(server).hostname or "")
            except AddressRefused as failure:
                raise Unreachable(str(failure)) from failure
            except ValueError as failure:
                raise Unreachable(f"the kubeconfig's server {str(server)[:120]!r} is not an address") from failure
        file = Path(spec.kubeconfig_file).expanduser() if spec.kubeconfig_file else None
        return KubeApi(Credentials(kubeconfig, file, spec.context), self._settings.cluster_timeout_seconds)


def kube_spec(row: ClusterRow) -> KubeRayClusterSpec:
    """A row's registration; its kubeconfig is apart."""
    return KubeRayClusterSpec.model_validate_json(row.spec.text if row.spec else "")
