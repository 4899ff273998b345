"""What other users of the machine come to while a platform runs."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from submarine_ray.cli.local_ray import Ports, haproxy_directory
from submarine_ray.spec.hosts import origin_of
from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray
NOBODY = 65534


def places(platform: RunningPlatform) -> list[Path]:
    """The home, and where Ray and HAProxy keep what does not fit below it."""
    directory = Path(json.loads(platform.home.ray_state.read_text())["directory"])
    made = {path for path in Path("/tmp").glob(f"s*-{os.getuid()}-*") if directory.is_relative_to(path)}
    haproxy = {path for path in [haproxy_directory(platform.home)] if path.exists()}
    return [platform.home.root, *made, *haproxy]


def test_nobody_else_comes_to_the_platforms_files(platform: RunningPlatform) -> None:
    id = platform.submit("echo made > file; stat -c '%a' file; ls -l /dev/shm")
    assert platform.ended(id)["status"] == "Succeeded", platform.lines(id)
    assert "600" in platform.lines(id)["worker-0"]
    for place in places(platform):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700, place
    home = platform.home
    for file in (home.database, Path(f"{home.database}-wal"), home.mlflow_database, home.service_log, home.ray_log):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert not list(Path("/dev/shm").glob("*plasma*"))  # Ray's objects have no name


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_cannot_replace_what_ray_unpacked(platform: RunningPlatform) -> None:
    directory = Path(json.loads(platform.home.ray_state.read_text())["directory"])
    assert stat.S_IMODE(directory.stat().st_mode) & 0o002  # Ray's own is open; the one around it is not
    for place in (platform.home.root, *places(platform), *directory.glob("session_*/runtime_resources")):
        for attempt in (f"ls {place}", f"touch {place}/theirs", f"ls {place}/.."):
            done = subprocess.run(
                ["/bin/sh", "-c", attempt], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                capture_output=True, text=True,
            )  # fmt: skip
            if not attempt.endswith("..") or place.parent != Path("/tmp"):
                assert "ermission denied" in done.stderr, (attempt, done)


def sockets(platform: RunningPlatform) -> dict[str, str]:
    """Where the platform's processes listen, by address and port; and who it is."""
    known = [json.loads(file.read_text())["pid"] for file in (platform.home.ray_state, platform.home.service_state)]
    tree = [one for pid in known for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    found = {}
    for process in tree:
        with contextlib.suppress(psutil.Error):  # of those that end meanwhile
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found[f"{connection.laddr.ip}:{connection.laddr.port}"] = " ".join(process.cmdline())[:150]
    return found


def test_everything_listens_on_loopback_and_endpoints_look_at_hosts(
    platform: RunningPlatform, sklearn_experiment: str
) -> None:
    call = platform.client.service.call
    call("POST", "/api/v1/model-version", json={"name": "hosts", "experimentId": sklearn_experiment})
    url = platform.cli("serve", "hosts", "1").stdout.strip()
    found = sockets(platform)
    assert len(found) > 10 and any("haproxy" in who for who in found.values())
    beyond = {at: who for at, who in found.items() if not at.startswith(("127.", "::1:", "::ffff:127."))}
    assert beyond == {}
    body = {"dataframe_split": {"columns": ["rooms", "floor"], "data": [[2, 1]]}}
    assert httpx.post(url, json=body).status_code == 200
    for asked in (url, f"{origin_of(url)}/-/routes"):
        refused = httpx.post(asked, json=body, headers={"Host": "rebound.example:80"})
        assert refused.status_code == 421 and "SUBMARINE_ALLOWED_HOSTS" in refused.text
    # Past HAProxy, which has looked already: each replica has ports of its own.
    first, last = Ports(json.loads(platform.home.ray_state.read_text())["portBase"]).replicas
    (replica,) = [at for at in found if first <= int(at.rsplit(":", 1)[1]) <= last]
    refused = httpx.post(f"http://{replica}/hosts/1/invocations", json=body, headers={"Host": "rebound.example"})
    assert refused.status_code == 421 and "rebound.example" in refused.json()["error"]
    call("DELETE", "/api/v1/serve", json={"modelName": "hosts", "modelVersion": 1})
