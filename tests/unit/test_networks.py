"""Which addresses the service connects to on a registration's word."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from submarine_ray.clusters.drivers.base import Unreachable
from submarine_ray.clusters.drivers.dashboards import Dashboard
from submarine_ray.clusters.drivers.ray_jobs import RayJobs
from submarine_ray.core import outgoing
from submarine_ray.core.networks import AddressRefused, Outgoing, exposed
from submarine_ray.core.outgoing import LONGEST_ANSWER, CheckedTransport, fetched, fetched_async
from submarine_ray.core.settings import Settings, explained
from tests.conftest import run
from tests.packages import packages_at

CLOSED = (
    "127.0.0.1", "127.8.8.8", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "0.0.0.0", "0.1.2.3",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fe80::1]",
    "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "224.0.0.1", "[ff02::1]", "255.255.255.255", "240.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("host", CLOSED)
def test_this_machine_and_metadata_services_are_closed_however_they_are_written(host: str) -> None:
    with pytest.raises(AddressRefused, match="SUBMARINE_ALLOW_CLUSTER_NETWORKS"):
        Outgoing().check(host)


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "192.168.0.9", "172.16.5.5", "8.8.8.8", "[fd12:3456::1]", "[2001:db8::1]"]
)
def test_where_clusters_are_is_open(host: str) -> None:
    Outgoing().check(host)


def test_what_an_operator_grants_is_open_and_nothing_beside_it() -> None:
    settings = Settings(allow_cluster_networks="127.0.0.1/32, fe80::/10")  # type: ignore[arg-type]
    outgoing = Outgoing(settings.allow_cluster_networks)
    assert outgoing.resolve("127.0.0.1", 80) == ["127.0.0.1"]
    assert outgoing.resolve("[::ffff:127.0.0.1]", 80) == ["::ffff:127.0.0.1"]
    for host in ("127.0.0.2", "169.254.169.254", "[::1]"):
        with pytest.raises(AddressRefused):
            outgoing.check(host)


def test_the_setting_reads_lists_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("127.0.0.0/8,10.0.0.1", '["127.0.0.0/8", "10.0.0.1"]'):
        monkeypatch.setenv("SUBMARINE_ALLOW_CLUSTER_NETWORKS", text)
        assert [str(one) for one in Settings().allow_cluster_networks] == ["127.0.0.0/8", "10.0.0.1/32"]
    for text in ("home", "127.0.0.0/99"):
        monkeypatch.setenv("SUBMARINE_ALLOW_CLUSTER_NETWORKS", text)
        with pytest.raises(ValueError) as caught:
            Settings()
        said = explained(caught.value)
        assert said.count("SUBMARINE_ALLOW_CLUSTER_NETWORKS") == 1 and repr(text) in said and "10.1.0.0/16" in said


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A resolver that answers one look after the other."""
    real = socket.getaddrinfo

    def set_answers(*answers: str) -> None:
        rest = list(answers)

        def look(host: Any, port: Any, *more: Any, **options: Any) -> Any:
            if host not in ("rebound.example", b"rebound.example"):
                return real(host, port, *more, **options)
            return real(rest.pop(0) if len(rest) > 1 else rest[0], port, *more, **options)

        monkeypatch.setattr(socket, "getaddrinfo", look)

    return set_answers


def test_a_name_that_leads_elsewhere_later_leads_nowhere(names: Callable[..., None]) -> None:
    """DNS rebinding: public when it is registered, loopback when it is connected to."""
    names("93.184.215.14", "127.0.0.1")
    outgoing = Outgoing()
    outgoing.check("rebound.example")
    with (
        httpx.Client(transport=CheckedTransport(outgoing)) as client,
        pytest.raises(httpx.ConnectError, match=r"leads to 127\.0\.0\.1, a loopback address"),
    ):
        client.get("http://rebound.example:9/")


def test_the_checked_address_is_the_one_that_is_connected_to(names: Callable[..., None]) -> None:
    """Rebinding between the check and the connection: there is only one look."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        names("203.0.113.7", "127.0.0.1")
        closed.settimeout(0.5)
        with (
            httpx.Client(transport=CheckedTransport(Outgoing()), timeout=0.2) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get(f"http://rebound.example:{closed.getsockname()[1]}/")
        with pytest.raises(TimeoutError):
            closed.accept()


BOMB = gzip.compress(bytes(LONGEST_ANSWER + 1))


def bomb(_request: httpx.Request) -> httpx.Response:
    """64 KiB that become 64 MiB, from whoever answers for a cluster."""
    return httpx.Response(200, content=BOMB, headers={"Content-Encoding": "gzip"})


def test_of_an_answer_no_more_is_read_than_the_bound(tmp_path: Path) -> None:
    jobs = RayJobs(Dashboard("http://ray"), packages_at(tmp_path), 1)
    jobs._http = httpx.Client(base_url="http://ray", transport=httpx.MockTransport(bomb))
    with pytest.raises(Unreachable, match="longer than 67108864 bytes"):
        jobs.applications()

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(bomb)) as client:
            await fetched_async(client, "POST", "http://endpoint/")

    with pytest.raises(httpx.ReadError, match="longer than"):
        run(ask())


def test_an_answer_is_read_as_it_is() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        content = gzip.compress(request.read() + "é".encode("latin-1"))
        kind = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=latin-1"}
        return httpx.Response(201, content=content, headers=kind)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        found = fetched(client, "POST", "http://ray/", content=b"x")
    assert (found.status_code, found.text) == (201, "xé")


def test_a_grant_of_metadata_services_is_told() -> None:
    told = list(exposed(Settings(allow_cluster_networks="0.0.0.0/0").allow_cluster_networks))  # type: ignore[arg-type]
    assert len(told) == 1 and "metadata" in told[0]
    assert not list(exposed(Settings(allow_cluster_networks="127.0.0.0/8, ::1").allow_cluster_networks))  # type: ignore[arg-type]


def test_certificates_are_read_once_for_all_dashboards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hundreds of heads away at once, reading them for each used a whole core."""
    outgoing.trusted()
    monkeypatch.setattr(httpx, "create_ssl_context", lambda **_: pytest.fail("read once more"))
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: pytest.fail("read once more"))
    for number in range(3):
        RayJobs(Dashboard(f"http://head-{number}:8265", dict), packages_at(tmp_path), 5).close()
