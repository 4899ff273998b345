"""Which `Host` an endpoint answers to: in each replica, and before it in HAProxy."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from serve_apps import hosts
from submarine_ray.cli import haproxy
from submarine_ray.clusters.serve_hosts import serve_hosts
from submarine_ray.serving import applications
from tests.conftest import free_port, wait_until

SERVED = [
    "127.0.0.1", "127.0.0.1:20009", "localhost", "LocalHost:8000", "10.1.2.3:80", "[::1]:8000", "[fe80::1]", "serve",
    "model-serve-svc.submarine.svc", "model-serve-svc.submarine.svc.cluster.local:8000", "app.localhost:80",
    "serve.example.com", "SERVE.example.com:443",
]  # fmt: skip
REFUSED = [
    "evil.example", "evil.example:20009", "127.0.0.1.evil.example", "localhost.evil.example", "xserve.example.com",
    "serveXexample.com", "a.svc.evil.example", "serve.example.com.evil.example", "evil.example,localhost",
    "evil.example:localhost", "1.2.3.4.nip.example",
]  # fmt: skip
ALLOWED = ["serve.example.com"]


@pytest.mark.parametrize("host", SERVED)
def test_addresses_private_names_and_allowed_ones_are_served(host: str) -> None:
    assert hosts.is_served(host, ALLOWED) and hosts.is_served(None)


@pytest.mark.parametrize("host", [*REFUSED, "", "[evil.example", ":80"])
def test_a_name_that_anybody_can_register_is_refused(host: str) -> None:
    assert not hosts.is_served(host, ALLOWED)
    assert "SUBMARINE_ALLOWED_HOSTS" in json.loads(hosts.refusal(host))["error"]


def test_this_machines_own_name_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts._own.cache_clear()
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.lan")
    assert hosts.is_served("box.lan:80")
    hosts._own.cache_clear()


def test_an_endpoint_is_told_the_names_that_lead_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = ["b", "c.example:81", "https://d.example", "no host"]
    assert serve_hosts(allowed, "https://serve.example.com/x") == ["b", "c.example", "d.example", "serve.example.com"]
    for text in (json.dumps(allowed), " b, c.example:81,https://d.example, no host,"):
        monkeypatch.setenv("SUBMARINE_ALLOWED_HOSTS", text)
        assert haproxy.allowed_hosts() == ["b", "c.example", "d.example"]
    for url in (
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "http://m-serve-svc.ns.svc.cluster.local:8000",
        "http://box",
    ):
        assert serve_hosts([], url) == []
    split = applications.Split("m", {1: 1}, {1: "m-1"}, 0.1)
    (found,) = applications.configuration([], [split], "", {}, lambda name: [f"{name}.example"])["applications"]
    assert found["args"]["allowed_hosts"] == ["traffic:m.example"]
    (found,) = applications.configuration([], [split], "", {})["applications"]
    assert "allowed_hosts" not in found["args"]  # or every endpoint would be started anew for nothing


CONFIGURATION = """
global
    stats socket {directory}/admin.sock mode 666 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend prometheus
    bind :{metrics}
frontend http_frontend
    bind *:{port}
    http-request return status 200 content-type text/plain string "prediction"
listen stats
  bind *:{stats}
  stats enable
  stats uri /stats
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, list[int], subprocess.Popen[bytes]]]:
    """HAProxy as Ray starts it, with what of Ray's configuration matters here."""
    binary = haproxy.binary()
    if binary is None:
        pytest.skip("Ray's HAProxy is not installed")
    directory = tmp_path_factory.mktemp("haproxy dir")
    ports = [free_port() for _ in range(3)]
    configuration = directory / "haproxy.cfg"
    configuration.write_text(
        CONFIGURATION.format(
            directory=str(directory).replace(" ", "\\ "), port=ports[0], metrics=ports[1], stats=ports[2]
        )
    )
    program = haproxy.write(directory, binary, [*ALLOWED, "no host; at all"])
    process = subprocess.Popen([str(program), "-db", "-f", str(configuration)])
    wait_until(lambda: _answers(ports[0]), 20, "HAProxy answers")
    yield ports[0], ports, process
    process.terminate()
    process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_haproxy_listens_on_loopback_alone(proxy: tuple[int, list[int], subprocess.Popen[bytes]]) -> None:
    import psutil

    listening = [c.laddr for c in psutil.Process(proxy[2].pid).net_connections("inet") if c.status == "LISTEN"]
    assert {one.ip for one in listening} == {"127.0.0.1"} and {one.port for one in listening} == set(proxy[1])


@pytest.mark.parametrize("host", SERVED)
def test_haproxy_serves_what_the_replicas_serve(
    proxy: tuple[int, list[int], subprocess.Popen[bytes]], host: str
) -> None:
    assert httpx.get(f"http://127.0.0.1:{proxy[0]}/", headers={"Host": host}).text == "prediction"


@pytest.mark.parametrize("host", REFUSED)
def test_haproxy_refuses_what_the_replicas_refuse(
    proxy: tuple[int, list[int], subprocess.Popen[bytes]], host: str
) -> None:
    answer = httpx.get(f"http://127.0.0.1:{proxy[0]}/", headers={"Host": host})
    assert answer.status_code in (400, 421), answer.text
