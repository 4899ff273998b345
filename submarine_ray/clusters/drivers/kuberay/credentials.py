"""Credentials for the Kubernetes API: a kubeconfig's text, a kubeconfig file, or the pod's service account."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.spec import documents
from submarine_ray.spec.json_types import Json, JsonObject, object_at, objects_at, text_at

# What makes a kubeconfig more than data: programs that it starts, and files that it names.
_COMMANDS = ("exec", "auth-provider")
_PARTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_FILES = ("tokenFile", "client-certificate", "client-key", "certificate-authority")


class BadKubeconfig(Exception):
    """A kubeconfig that cannot be used; the message is a sentence for who registers the cluster."""


class Configuration(Protocol):
    """What is read of a `kubernetes.client.Configuration`, which carries no types."""

    host: str
    ssl_ca_cert: str | None
    verify_ssl: bool
    cert_file: str | None
    key_file: str | None

    def auth_settings(self) -> dict[str, dict[str, str]]:
        """How a request shows who sends it: `key` and `value` of headers."""


@dataclass(frozen=True)
class Credentials:
    """Where a connection's configuration comes from; neither text nor file: the service account of this pod."""

    text: str | None = None
    file: Path | None = None
    context: str | None = None

    @property
    def in_cluster(self) -> bool:
        return self.text is None and self.file is None

    def load(self) -> Configuration:
        """A `kubernetes.client.Configuration`, read anew: files, tokens and certificates may have changed.

        Raises Unreachable.
        """
        # Only where a Kubernetes cluster is registered: the package costs 0.3 s and 60 MB.
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException

        found = client.Configuration()
        found.retries = False
        found.connection_pool_maxsize = 32
        try:
            if self.in_cluster:
                config.load_incluster_config(client_configuration=found)
            elif self.file is not None:
                check_file(self.file, self.context)
                config.load_kube_config(
                    config_file=str(self.file), context=self.context, client_configuration=found, persist_config=False
                )
            else:
                document = parse(self.text or "", self.context)
                config.load_kube_config_from_dict(document, self.context, client_configuration=found)
        except BadKubeconfig as failure:
            raise Unreachable(str(failure)) from failure
        except (ConfigException, OSError, ValueError, TypeError, KeyError) as failure:
            what = "the pod's service account" if self.in_cluster else "the kubeconfig"
            raise Unreachable(f"{what} gives no access: {_first_line(failure)}") from failure
        loaded: Configuration = found
        return loaded


def check_file(file: Path, context: str | None) -> None:
    """Raises BadKubeconfig."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as failure:
        raise BadKubeconfig(f"the kubeconfig {file} cannot be read: {_first_line(failure)}") from failure
    parse(text, context, str(file))


def parse(text: str, context: str | None, name: str = "the kubeconfig") -> JsonObject:
    """A kubeconfig's document. Raises BadKubeconfig if it is none, or lacks the context."""
    try:
        document = documents.load(text)
    except documents.NotYaml as failure:
        raise BadKubeconfig(f"{name} is not YAML: {_first_line(failure)}") from failure
    if not isinstance(document, dict) or not all(document.get(part) for part in ("clusters", "contexts")):
        raise BadKubeconfig(f"{name} is not a kubeconfig: it needs clusters, contexts and users")
    for part, inner in _PARTS.items():
        entries = document.get(part) or []
        if not isinstance(entries, list) or not all(_holds(entry, inner) for entry in entries):
            raise BadKubeconfig(f"{name} is not a kubeconfig: {part} must be a list of objects, each with its {inner}")
    contexts = objects_at(document, "contexts")
    if not all("name" in entry for entry in contexts):
        raise BadKubeconfig(f"{name} is not a kubeconfig: each context needs a name")
    known = [str(entry["name"]) for entry in contexts]
    wanted = context or document.get("current-context")
    if not wanted:
        raise BadKubeconfig(f"{name} has no current context; choose one of {', '.join(known)}")
    if wanted not in known:
        raise BadKubeconfig(f"{name} has no context {str(wanted)[:80]!r}; it has {', '.join(known)}")
    return document


def _holds(entry: Json, inner: str) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get(inner) or {}, dict)


def check_is_data(document: JsonObject) -> None:
    """Refuse a kubeconfig sent by a user that would start programs or read files here. Raises BadKubeconfig."""
    for entry in [*objects_at(document, "users"), *objects_at(document, "clusters")]:
        inner = object_at(entry, "user") | object_at(entry, "cluster")
        if command := next((key for key in _COMMANDS if key in inner), None):
            raise BadKubeconfig(
                f"the kubeconfig starts a program ({command} of {entry.get('name')}), which is only done for files "
                "on the service's machine: put it there, and give its path as kubeconfigFile"
            )
        if path := next((key for key in _FILES if key in inner), None):
            raise BadKubeconfig(
                f"the kubeconfig names a file ({path} of {entry.get('name')}); "
                "`kubectl config view --flatten --minify --raw` writes one that is whole"
            )


def servers(document: JsonObject) -> list[str]:
    """The API servers that a kubeconfig names."""
    return [url for entry in objects_at(document, "clusters") if (url := text_at(entry, "cluster", "server"))]


def tls(configuration: Configuration) -> ssl.SSLContext | None:
    """The TLS of a configuration, for clients that are not the official one; None without TLS."""
    if not configuration.host.startswith("https"):
        return None
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


def _first_line(failure: BaseException) -> str:
    return (str(failure).strip().splitlines() or [type(failure).__name__])[0][:300]
