"""The local Ray cluster: one `ray start --head --block` process of ours, with its own ports, token and storage.

Never `ray stop`: it kills every Ray on the host. Facts behind each variable: docs/decisions/0002-local-cluster.md.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from submarine_ray.cli import haproxy, processes
from submarine_ray.cli.processes import Started
from submarine_ray.spec import private
from submarine_ray.spec.home import Home
from submarine_ray.spec.launch import GRACE_MARGIN, GRACE_SECONDS, RAY_STOP_VARIABLE

LOOPBACK = "127.0.0.1"
MARK = "SUBMARINE_LOCAL_CLUSTER"
START_SECONDS = 90
DRAIN_SECONDS = 2
# Below the ephemeral range (32768...), where an outgoing connection may sit on a port that an agent needs.
FIRST_BLOCK, LAST_BLOCK, BLOCK = 20000, 31000, 500
_SINGLE_PORTS = (
    "gcs", "dashboard", "agent", "agent_grpc", "runtime_env", "node_manager", "object_manager", "client", "metrics",
    "serve", "haproxy_metrics", "haproxy_stats", "dashboard_grpc",
)  # fmt: skip


class StartFailed(Exception):
    """A part of the platform did not start; the message has the reason and the log's tail."""


@dataclass(frozen=True)
class Ports:
    """A block of ports: single ones first, then Serve's replicas, then workers."""

    base: int

    def __getitem__(self, name: str) -> int:
        return self.base + _SINGLE_PORTS.index(name)

    @property
    def replicas(self) -> tuple[int, int]:
        return self.base + 20, self.base + 119

    @property
    def workers(self) -> tuple[int, int]:
        return self.base + 120, self.base + BLOCK - 1

    def are_free(self) -> bool:
        return all(_is_free(self[name]) for name in _SINGLE_PORTS) and _is_free(self.replicas[0])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 (only asks whether anyone listens)
        except OSError:
            return False
    return True


def choose_ports(previous: int | None) -> Ports:
    """The block used before if it is free (URLs stay), else the first free one. Raises StartFailed."""
    blocks = [*([previous] if previous else []), *range(FIRST_BLOCK, LAST_BLOCK, BLOCK)]
    for base in blocks:
        ports = Ports(base)
        if ports.are_free():
            return ports
    raise StartFailed(
        f"no free block of {BLOCK} ports between {FIRST_BLOCK} and {LAST_BLOCK} for the local Ray cluster"
    )


def token(home: Home) -> str:
    """This cluster's own token, made on first use (mode 0600)."""
    home.root.mkdir(parents=True, exist_ok=True)
    if not home.ray_token.exists():
        descriptor = os.open(home.ray_token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return home.ray_token.read_text().strip()


def default_cpus() -> int:
    """At least 4: CPUs are Ray's bookkeeping, and a two-core laptop must take Submarine's documented examples."""
    return max(os.cpu_count() or 1, 4)


def environment(home: Home, ports: Ports, fast_serve: bool) -> dict[str, str]:
    """The environment of `ray start`, and so of every job: nothing of the caller's Ray settings leaks in."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SUBMARINE_", "MLFLOW_"))}
    bin_dir = str(Path(sys.executable).parent)
    own = {
        MARK: str(home.root),
        "SUBMARINE_HOME": str(home.root),
        "PATH": bin_dir + os.pathsep + inherited.get("PATH", ""),
        "PYTHONUNBUFFERED": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home.ray_token),
        # Its own servers then listen on loopback alone, as on systems where a cluster has one node. The flag
        # --node-ip-address 127.0.0.1 would not do: Ray takes the address of the route outwards instead.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_ADDRESS": f"{LOOPBACK}:{ports['gcs']}",
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(home.ray_storage),
        "RAY_worker_niceness": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(DRAIN_SECONDS),
        "RAY_USAGE_STATS_ENABLED": "0",
        RAY_STOP_VARIABLE: str(GRACE_SECONDS + GRACE_MARGIN),
        "RUNTIME_ENV_RETRY_TIMES": "1",  # pip itself tries again where that may help
        "RAY_DEDUP_LOGS": "0",
        # It looks at each open file ten times a second: the 200 of an old cluster took a twentieth of a core.
        "RAY_LOG_MONITOR_MAX_OPEN_FILES": "20",
        "RAY_COLOR_PREFIX": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # who asked for no GPU sees none
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas[1]),
    }
    if fast_serve:
        place = haproxy_directory(home)
        own |= {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            # It would keep back a thousand lines; without access logs there are few, and they are wanted at once.
            "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
            # Half a minute is for load balancers far away; this one learns of a leaving replica within a second.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(place / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(place / "admin.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(place),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(place / "server-state"),
            **(
                {"RAY_SERVE_HAPROXY_BINARY_PATH": str(_haproxy_program_dir(home) / haproxy.PROGRAM)}
                if haproxy.binary()
                else {}
            ),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports["haproxy_metrics"]),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports["haproxy_stats"]),
        }
    return inherited | processes.beside_proxies(inherited) | own


def _command(home: Home, ports: Ports, cpus: int, gpus: int | None, temp_dir: Path) -> list[str]:
    flags = {
        "port": ports["gcs"],
        "dashboard-host": "127.0.0.1",
        "dashboard-port": ports["dashboard"],
        "dashboard-agent-listen-port": ports["agent"],
        "dashboard-agent-grpc-port": ports["agent_grpc"],
        "runtime-env-agent-port": ports["runtime_env"],
        "node-manager-port": ports["node_manager"],
        "object-manager-port": ports["object_manager"],
        "ray-client-server-port": ports["client"],
        "metrics-export-port": ports["metrics"],
        "min-worker-port": ports.workers[0],
        "max-worker-port": ports.workers[1],
        "num-cpus": cpus,
        **({} if gpus is None else {"num-gpus": gpus}),
        "object-store-memory": _object_store_bytes(),
        "temp-dir": temp_dir,
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    return [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
        *arguments,
    ]


def _object_store_bytes() -> int:
    return int(min(512e6, max(100e6, psutil.virtual_memory().total * 0.1)))


def temp_dir(home: Home) -> Path:
    """Ray's session directory. Unix sockets below it must stay under 107 bytes, so a deep home gets a short path."""
    direct = home.root / "ray"
    if len(str(direct)) <= 40:
        return direct
    # Ray opens its own to everybody, so it lies in one that nobody else may enter.
    return _short_dir(home) / "r"


def short_directory(home: Home) -> Path:
    """This home's directory in /tmp, this user's alone, for Unix sockets. Raises StartFailed."""
    directory = _short_dir(home)
    _make_private(directory)
    return directory


def _short_dir(home: Home) -> Path:
    return Path("/tmp") / f"submarine-ray-{os.getuid()}-{_digest(home)}"  # noqa: S108 (made by _make_private)


def haproxy_directory(home: Home) -> Path:
    """HAProxy's own: Ray adds a node id of 56 characters, and its socket's path must stay under 97 bytes."""
    return Path("/tmp") / f"sr-{os.getuid()}-{_digest(home)[:8]}"  # noqa: S108 (made by _make_private)


def _haproxy_program_dir(home: Home) -> Path:
    """Not in /tmp, where some systems let nothing be executed."""
    return home.root / "haproxy"


def _digest(home: Home) -> str:
    return hashlib.sha256(str(home.root).encode()).hexdigest()[:12]


def _make_private(directory: Path) -> None:
    """A directory that is this user's alone; /tmp is everybody's. Raises StartFailed if somebody was there before."""
    try:
        private.check(private.directory(directory))
    except private.NotPrivate as failure:
        raise StartFailed(str(failure)) from failure


def start(
    home: Home,
    cpus: int | None = None,
    fast_serve: bool = True,
    variables: dict[str, str] | None = None,
    gpus: int | None = None,
) -> None:
    """Start the cluster, with more environment `variables` for its jobs, and wait until it takes jobs.

    It offers `gpus` GPUs, or those that Ray finds. Raises StartFailed with the log's tail.
    """
    with private.umask(), _ports_lock():
        _start(home, cpus, gpus, fast_serve, variables or {})


@contextmanager
def _ports_lock() -> Iterator[None]:
    """One cluster of this user starts at a time: ports are free only until another `up` has chosen them too."""
    directory = Path(tempfile.gettempdir()) / f"submarine-{os.getuid()}"
    _make_private(directory)
    with (directory / "ports.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(home: Home, cpus: int | None, gpus: int | None, fast_serve: bool, variables: dict[str, str]) -> None:
    sweep(home)
    known = processes.load(home.ray_state)
    previous = known[1].get("portBase") if known else None
    ports = choose_ports(previous if isinstance(previous, int) else None)
    secret = token(home)
    directory = temp_dir(home)
    _make_private(directory.parent)
    _make_private(haproxy_directory(home))
    if binary := haproxy.binary():
        haproxy.write(
            private.directory(_haproxy_program_dir(home)), binary, [*haproxy.allowed_hosts(), socket.gethostname()]
        )
    home.ray_storage.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = processes.size(home.ray_log)
    started = processes.start(
        _command(home, ports, cpus or default_cpus(), gpus, directory),
        environment(home, ports, fast_serve) | variables,
        home.ray_log,
    )
    address = f"http://127.0.0.1:{ports['dashboard']}"
    processes.save(
        home.ray_state,
        started,
        address=address,
        serveHost="127.0.0.1",
        servePort=ports["serve"],
        gcsAddress=f"{LOOPBACK}:{ports['gcs']}",
        portBase=ports.base,
        directory=str(directory),
    )
    try:
        _wait_ready(home, started, address, secret, before)
    except StartFailed:
        stop(home)
        raise


def _wait_ready(home: Home, started: Started, address: str, secret: str, before: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=address, headers=headers, timeout=5, trust_env=False) as client:
        while time.monotonic() < deadline:
            if started.process() is None:
                said = processes.tail(home.ray_log, before)
                raise StartFailed(f"the Ray cluster ended while starting; {home.ray_log} says:\n{said}")
            try:
                # The jobs list needs the GCS, the dashboard and its job module: what a submission needs.
                if (
                    client.get("/api/jobs/").status_code == 200
                    and client.get("/api/v0/nodes").json()["data"]["result"]["result"]
                ):
                    return
            except (httpx.HTTPError, KeyError, TypeError, ValueError):
                pass
            time.sleep(0.2)
    said = processes.tail(home.ray_log, before)
    raise StartFailed(f"the Ray cluster was not ready after {START_SECONDS} s; {home.ray_log} says:\n{said}")


def is_running(home: Home) -> bool:
    known = processes.load(home.ray_state)
    return known is not None and known[0].process() is not None


def stop(home: Home) -> None:
    """Stop the cluster that `start` started, and whatever it left behind; other Ray clusters are not touched."""
    known = processes.load(home.ray_state)
    if known:
        processes.stop(known[0], patience=DRAIN_SECONDS + 20)
    sweep(home)


def sweep(home: Home) -> None:
    """Kill leftovers of this cluster (after its head was killed, say): they carry this home's mark, or write its logs.

    An agent without its head burns a third of a core for two minutes before it gives up.
    """
    processes.kill([*processes.marked(MARK, str(home.root)), *processes.writing_below(temp_dir(home), "ray")])
    shutil.rmtree(haproxy_directory(home), ignore_errors=True)


def forget(home: Home) -> None:
    """Drop the cluster's session directory and job records."""
    shutil.rmtree(temp_dir(home), ignore_errors=True)
    shutil.rmtree(_short_dir(home), ignore_errors=True)
    shutil.rmtree(home.ray_storage, ignore_errors=True)
