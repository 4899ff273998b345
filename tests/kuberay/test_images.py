"""What a registry says of an image, without an account."""

from __future__ import annotations

import httpx
import pytest

from submarine_ray.clusters.drivers.kuberay.images import Reference, is_there


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("ubuntu", ("registry-1.docker.io", "library/ubuntu", "latest")),
        ("rayproject/ray:2.60.0-py311", ("registry-1.docker.io", "rayproject/ray", "2.60.0-py311")),
        ("ghcr.io/team/train:1", ("ghcr.io", "team/train", "1")),
        ("localhost:5000/train", ("localhost:5000", "train", "latest")),
        (f"quay.io/a/b@sha256:{'0' * 64}", ("quay.io", "a/b", f"sha256:{'0' * 64}")),
    ],
)
def test_references(image: str, parts: tuple[str, str, str]) -> None:
    found = Reference.parse(image)
    assert (found.registry, found.name, found.tag) == parts


def registry(request: httpx.Request) -> httpx.Response:
    """Like Docker Hub: an anonymous token first; one public image, one private."""
    if request.url.host == "auth.example.com":
        assert request.url.params["scope"].startswith("repository:team/")
        return httpx.Response(200, json={"token": "anonymous"})
    if request.headers.get("authorization") != "Bearer anonymous":
        challenge = 'Bearer realm="https://auth.example.com/token",service="r",scope="repository:team/x:pull"'
        return httpx.Response(401, headers={"www-authenticate": challenge})
    name = request.url.path.split("/manifests/")[0].removeprefix("/v2/")
    return httpx.Response({"team/public": 200, "team/private": 403}.get(name, 404))


@pytest.mark.parametrize(("name", "found"), [("public", True), ("private", None), ("missing", False)])
def test_what_the_registry_says(name: str, found: bool | None) -> None:
    with httpx.Client(transport=httpx.MockTransport(registry)) as client:
        assert is_there(f"registry.example.com/team/{name}:1", client) is found


def test_a_registry_that_is_not_reached_says_nothing() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with httpx.Client(transport=httpx.MockTransport(broken)) as client:
        assert is_there("registry.example.com/team/public:1", client) is None
