"""Converts registrations, from REST or a file, to the columns of a row and back."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from pydantic import TypeAdapter, ValidationError

from submarine_ray.clusters.drivers import kinds
from submarine_ray.clusters.drivers.addresses import check_address
from submarine_ray.clusters.tables import ClusterRow
from submarine_ray.core.errors import InvalidSpec, SecretLost
from submarine_ray.core.networks import Outgoing
from submarine_ray.core.sealed import Kept
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.spec import documents
from submarine_ray.spec.clusters import ClusterSpec

log = structlog.get_logger(__name__)

_SPEC: TypeAdapter[ClusterSpec] = TypeAdapter(ClusterSpec)


def check(spec: ClusterSpec, settings: Settings) -> None:
    """What can be said of a registration without asking the cluster. Raises InvalidSpec."""
    check_address("serveUrl", spec.serve_url, Outgoing(settings.allow_cluster_networks))
    kinds.named(spec.kind).check(spec, settings)


def columns(spec: ClusterSpec, secrets: SecretBox) -> dict[str, object]:
    """A row's columns; secrets sealed, and nowhere else."""
    return {
        "kind": spec.kind,
        "address": None,
        "sealed_token": None,
        "sealed_kubeconfig": None,
        "serve_url": spec.serve_url,
        "spec": Kept(spec.model_dump_json(by_alias=True, exclude_none=True, exclude={"token", "kubeconfig"})),
        **kinds.named(spec.kind).columns(spec, secrets),
    }


def registered(row: ClusterRow) -> ClusterSpec | None:
    """What was registered; None for the local cluster, for rows from before there was more to it, where this version
    cannot read what is stored, and where its key was lost.
    """
    try:
        return _SPEC.validate_json(row.spec.text) if row.spec else None
    except (SecretLost, ValidationError):
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
