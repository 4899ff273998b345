"""From what somebody registers, by REST or a file, to the columns of a row, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from pydantic import TypeAdapter, ValidationError

from submarine_ray.clusters.drivers.kuberay import credentials
from submarine_ray.clusters.drivers.kuberay.credentials import BadKubeconfig
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import InvalidSpec, SecretLost
from submarine_ray.core.networks import AddressRefused, Outgoing
from submarine_ray.core.sealed import Kept
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.spec import documents
from submarine_ray.spec.clusters import ClusterSpec, KubeRayClusterSpec, RayClusterSpec

log = structlog.get_logger(__name__)

_SPEC: TypeAdapter[ClusterSpec] = TypeAdapter(ClusterSpec)


def check(spec: ClusterSpec, settings: Settings) -> None:
    """What can be said of a registration without asking the cluster. Raises InvalidSpec."""
    outgoing = Outgoing(settings.allow_cluster_networks)
    _check_address("serveUrl", spec.serve_url, outgoing)
    if isinstance(spec, RayClusterSpec):
        _check_address("address", spec.address, outgoing)
        return
    try:
        if spec.kubeconfig is not None:
            document = credentials.parse(spec.kubeconfig.get_secret_value(), spec.context)
            credentials.check_is_data(document)
            for server in credentials.servers(document):
                _check_address("kubeconfig", server, outgoing)
        elif spec.kubeconfig_file is not None:
            file, allowed = _file(spec.kubeconfig_file), settings.kubeconfig_directory.expanduser().resolve()
            # A kubeconfig can start programs: only what an operator has put there is read.
            if not file.resolve().is_relative_to(allowed):
                raise BadKubeconfig(
                    f"{file} is not below {allowed}, from where alone they are read (SUBMARINE_KUBECONFIG_DIRECTORY)"
                )
            credentials.check_file(file, spec.context)
        elif "KUBERNETES_SERVICE_HOST" not in os.environ:
            raise BadKubeconfig("the service does not run in a Kubernetes pod, so it needs a kubeconfig")
    except BadKubeconfig as failure:
        raise InvalidSpec(str(failure), "kubeconfig" if spec.kubeconfig else "kubeconfigFile") from failure


def _file(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as failure:
        raise BadKubeconfig(f"{path[:120]} is below the home of a user that there is not") from failure


def _check_address(field: str, url: str | None, outgoing: Outgoing) -> None:
    try:
        if url:
            outgoing.check(urlsplit(url).hostname or "")
    except AddressRefused as failure:
        raise InvalidSpec(str(failure), field) from failure
    except ValueError as failure:
        raise InvalidSpec(f"{str(url)[:120]!r} is not an address: {failure}", field) from failure


def columns(spec: ClusterSpec, secrets: SecretBox) -> dict[str, Any]:
    """A row's columns; secrets sealed, and nowhere else."""
    found: dict[str, Any] = {
        "kind": spec.kind,
        "address": None,
        "sealed_token": None,
        "sealed_kubeconfig": None,
        "serve_url": spec.serve_url,
        "spec": Kept(spec.model_dump_json(by_alias=True, exclude_none=True, exclude={"token", "kubeconfig"})),
    }
    if isinstance(spec, RayClusterSpec):
        token = secrets.seal(spec.token.get_secret_value()) if spec.token else None
        return found | {"address": spec.address, "sealed_token": token}
    kubeconfig = secrets.seal(spec.kubeconfig.get_secret_value()) if spec.kubeconfig else None
    return found | {"sealed_kubeconfig": kubeconfig}


def registered(row: ClusterRow) -> RayClusterSpec | KubeRayClusterSpec | None:
    """What was registered; None for the local cluster, for rows from before there was more to it, and where the key
    of what is stored was lost.
    """
    try:
        return _SPEC.validate_json(row.spec.text) if row.spec else None
    except SecretLost:
        return None


def read(settings: Settings) -> Iterator[ClusterSpec]:
    """The registrations in the directory's YAML files. A wrong one is logged, and the service starts all the same."""
    directory = settings.cluster_configurations
    for file in sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]):
        try:
            found = [document for document in documents.load_all(file.read_bytes()) if document]
            for spec in [_SPEC.validate_python(document) for document in found]:
                check(spec, settings)
                yield spec
        except (OSError, documents.NotYaml, ValidationError, InvalidSpec) as failure:
            log.error("cluster.bad_configuration", file=str(file), why=str(failure))
