"""The kind of a cluster that KubeRay runs on Kubernetes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from submarine_ray.clusters.drivers.addresses import check_address
from submarine_ray.clusters.drivers.base import Driver, Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.kinds import Capabilities, Check, Means
from submarine_ray.clusters.drivers.kuberay import allowed, checks, credentials, names
from submarine_ray.clusters.drivers.kuberay.api import KubeApi
from submarine_ray.clusters.drivers.kuberay.credentials import BadKubeconfig, Credentials
from submarine_ray.clusters.drivers.kuberay.dedicated import DedicatedClusters
from submarine_ray.clusters.drivers.kuberay.namespace import DriverContext, Namespace
from submarine_ray.clusters.drivers.kuberay.services import service_name
from submarine_ray.clusters.drivers.kuberay.shared import SharedCluster
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import Conflict, InvalidSpec, SecretLost
from submarine_ray.core.networks import AddressRefused, Outgoing
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.spec.clusters import KubeRayClusterSpec
from submarine_ray.spec.experiment import EnvironmentSpec, ExperimentSpec
from submarine_ray.spec.json_types import JsonObject
from submarine_ray.spec.kubernetes import JobOptions, check_image
from submarine_ray.spec.problems import sentence

KINDS = "rayjobs,rayservices,rayclusters,secrets,configmaps"


@dataclass(frozen=True)
class KubeAddress:
    """A registration on Kubernetes: its spec as text, its id, its kubeconfig if it was sent."""

    spec: str
    uid: str
    kubeconfig: str | None

    def connect(self, means: Means) -> Driver:
        spec, timeout = _read(self.spec), means.settings.cluster_timeout_seconds
        context = DriverContext(spec, self.uid, self.api(means), means.packages, timeout, means.launches, means.notify)
        namespace = Namespace(context)
        return SharedCluster(namespace) if spec.mode == "shared" else DedicatedClusters(namespace)

    def dashboard(self, means: Means) -> Dashboard:
        raise Unreachable("it has no Ray dashboard of its own: each of its RayClusters has one, inside Kubernetes")

    def api(self, means: Means) -> KubeApi:
        """A connection to the API server. Raises Unreachable, Conflict."""
        spec = _read(self.spec)
        for server in credentials.servers(credentials.parse(self.kubeconfig, spec.context)) if self.kubeconfig else ():
            try:
                means.outgoing.check(urlsplit(server).hostname or "")
            except AddressRefused as failure:
                raise Unreachable(str(failure)) from failure
            except ValueError as failure:
                raise Unreachable(f"the kubeconfig's server {str(server)[:120]!r} is not an address") from failure
        file = Path(spec.kubeconfig_file).expanduser() if spec.kubeconfig_file else None
        return KubeApi(Credentials(self.kubeconfig, file, spec.context), means.settings.cluster_timeout_seconds)


class KubeRayKind:
    """See kinds.Kind."""

    def capabilities(self, row: ClusterRow) -> Capabilities:
        spec = _known(row)
        dedicated = spec is not None and spec.mode == "dedicated"
        return Capabilities(has_pods=dedicated, has_dashboard=False, shares_serve=False, makes_room=True)

    def check(self, spec: KubeRayClusterSpec, settings: Settings) -> None:
        outgoing = Outgoing(settings.allow_cluster_networks)
        try:
            if spec.kubeconfig is not None:
                document = credentials.parse(spec.kubeconfig.get_secret_value(), spec.context)
                credentials.check_is_data(document)
                for server in credentials.servers(document):
                    check_address("kubeconfig", server, outgoing)
            elif spec.kubeconfig_file is not None:
                credentials.check_file(_file_of(spec.kubeconfig_file, settings), spec.context)
            elif "KUBERNETES_SERVICE_HOST" not in os.environ:
                raise BadKubeconfig("the service does not run in a Kubernetes pod, so it needs a kubeconfig")
        except BadKubeconfig as failure:
            raise InvalidSpec(str(failure), "kubeconfig" if spec.kubeconfig else "kubeconfigFile") from failure

    def columns(self, spec: KubeRayClusterSpec, secrets: SecretBox) -> dict[str, object]:
        return {"sealed_kubeconfig": secrets.seal(spec.kubeconfig.get_secret_value()) if spec.kubeconfig else None}

    def address(self, row: ClusterRow, means: Means) -> KubeAddress:
        return KubeAddress(row.spec.text if row.spec else "", row.uid or "", means.opened(row.sealed_kubeconfig))

    def serve_url(self, row: ClusterRow, endpoint: str, settings: Settings) -> str:
        spec = _spec(row)
        service = f"http://{{endpoint}}-serve-svc.{spec.namespace}.svc.cluster.local:8000"
        return (spec.serve_url or service).replace("{endpoint}", service_name(endpoint)).rstrip("/")

    def serve_http_options(self, settings: Settings) -> JsonObject:
        return {"host": "0.0.0.0", "port": 8000}  # noqa: S104 (inside a pod)

    def checks(self, row: ClusterRow, means: Means) -> list[Check] | None:
        api = self.address(row, means).api(means)
        try:
            return checks.run(api, _spec(row), means.settings.url, means.outgoing)
        finally:
            api.close()

    def check_experiment(self, row: ClusterRow, spec: ExperimentSpec, environment: EnvironmentSpec | None) -> None:
        images = {f"spec.{role}.image": task.image for role, task in spec.spec.items()}
        all_images = {"environment.image": environment.container_image if environment else None, **images}
        for field, image in all_images.items():
            if image:
                try:
                    check_image(image)
                except ValueError as failure:
                    raise InvalidSpec(str(failure), field) from failure
        if why := allowed.refusal(_spec(row), spec.kubernetes or JobOptions()):
            raise InvalidSpec(why.message, why.field)

    def by_hand(self, row: ClusterRow) -> str | None:
        spec = _known(row)
        namespace = spec.namespace if spec else "<its namespace>"
        return f"kubectl delete {KINDS} -n {namespace} -l {names.selector(row.uid or '')}"

    def described(self, row: ClusterRow) -> dict[str, object]:
        spec = _known(row)
        if spec is None:
            return {}
        return {
            "mode": spec.mode,
            "namespace": spec.namespace,
            "context": spec.context,
            "allow": spec.allow.model_dump(mode="json", by_alias=True),
            "trustExperiments": spec.trust_experiments,
        }


def _spec(row: ClusterRow) -> KubeRayClusterSpec:
    """The registration; its kubeconfig is apart. Raises SecretLost, Conflict."""
    return _read(row.spec.text if row.spec else "")


def _read(text: str) -> KubeRayClusterSpec:
    """A registration as it is stored. Raises Conflict if this version cannot read it."""
    try:
        return KubeRayClusterSpec.model_validate_json(text)
    except ValidationError as failure:
        raise Conflict(
            f"The cluster's registration cannot be read by this version ({sentence(failure.errors()[0])}). "
            "Delete the cluster with --force (force=true), and register it anew."
        ) from failure


def _known(row: ClusterRow) -> KubeRayClusterSpec | None:
    """The registration; None where it cannot be read, or the key of what is stored was lost."""
    try:
        return _spec(row)
    except (SecretLost, Conflict):
        return None


def _file_of(path: str, settings: Settings) -> Path:
    """A kubeconfig on this machine. Raises BadKubeconfig."""
    try:
        file = Path(path).expanduser()
    except RuntimeError as failure:
        raise BadKubeconfig(f"{path[:120]} is below the home of a user that there is not") from failure
    below = settings.kubeconfig_directory.expanduser().resolve()
    # A kubeconfig can start programs: only what an operator has put there is read.
    if not file.resolve().is_relative_to(below):
        raise BadKubeconfig(
            f"{file} is not below {below}, from where alone they are read (SUBMARINE_KUBECONFIG_DIRECTORY)"
        )
    return file


KIND = KubeRayKind()
