"""Whether a registry has an image, asked anonymously. Source: OCI distribution spec 1.1, "Pulling manifests"."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from submarine_ray.core import outgoing
from submarine_ray.core.networks import AddressRefused

LOOK_SECONDS = 5.0
_MANIFESTS = ", ".join((
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
))  # fmt: skip
_CHALLENGE = re.compile(r'(?<!\w)(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Reference:
    """An image's parts, as container runtimes complete them: no registry means Docker Hub, no tag latest."""

    registry: str
    name: str
    tag: str

    @classmethod
    def parse(cls, image: str) -> Reference:
        rest, at, digest = image.partition("@")
        first, slash, others = rest.partition("/")
        has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
        registry, path = (first, others) if has_registry else ("registry-1.docker.io", rest)
        name, _, tag = path.partition(":")
        if not has_registry and "/" not in name:
            name = f"library/{name}"
        return cls(registry, name, digest if at else tag or "latest")


def is_there(image: str, client: httpx.Client) -> bool | None:
    """Whether the registry has the image: True or False as it answers; None if it cannot be reached from here, or wants
    a sign-in.
    """
    reference = Reference.parse(image)
    url = f"https://{reference.registry}/v2/{reference.name}/manifests/{reference.tag}"
    headers = {"Accept": _MANIFESTS}
    try:
        answer = client.head(url, headers=headers)
        if answer.status_code == 401:
            token = _anonymous(answer.headers.get("www-authenticate", ""), client)
            answer = client.head(url, headers={**headers, "Authorization": f"Bearer {token}"}) if token else answer
    except (httpx.HTTPError, ValueError, AddressRefused):
        return None
    return {200: True, 404: False}.get(answer.status_code)


def _anonymous(challenge: str, client: httpx.Client) -> str | None:
    """A token for reading public images, from registries that ask for one (Docker Hub, GHCR, quay.io)."""
    asked = dict(_CHALLENGE.findall(challenge))
    realm = asked.pop("realm", "")
    if not challenge.lower().startswith("bearer") or not realm.startswith("https://"):
        return None
    answer = outgoing.fetched(client, "GET", realm, params=asked)
    document = answer.json() if answer.status_code == 200 else {}
    token = document.get("token") or document.get("access_token")
    return str(token) if token else None
