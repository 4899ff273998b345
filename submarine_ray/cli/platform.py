"""The platform on this machine: the local Ray cluster and the control service, started and stopped together."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import serve_apps
import submarine_ray
from submarine_ray.cli import local_ray, processes, several
from submarine_ray.cli.local_ray import StartFailed
from submarine_ray.spec import private
from submarine_ray.spec.home import DEFAULT_PORT, Home
from submarine_ray.spec.strength import HOW_TO_MAKE_ONE, weakness

CONTENT_TRIES = 20
SERVICE_SECONDS = 60
SERVICE_STOP_SECONDS = 15


@dataclass(frozen=True)
class Part:
    """A part of the platform as `status` shows it; `since` in seconds since 1970."""

    name: str
    running: bool
    where: str
    pid: int | None
    since: float | None
    details: str = ""
    exposed: tuple[str, ...] = ()  # what is open to others, in sentences


def port() -> int:
    return int(os.environ.get("SUBMARINE_PORT", DEFAULT_PORT))


def url() -> str:
    return f"http://127.0.0.1:{port()}"


def sign_in_link() -> str | None:
    """What signs a browser in, once; None where the service needs none, because it knows its user's processes."""
    from submarine_ray.client.http import Service, own_token

    if own_token(url()) is None:
        return None
    return f"{url()}{Service(url()).call('POST', '/api/v1/session/link')['path']}"


def up(home: Home, cpus: int | None = None, gpus: int | None = None, services: int | None = None) -> list[str]:
    """Start what is missing, and return when the API answers; the names of what was started. Raises StartFailed.

    `services`: how many control services; default as many as there were before, or one.
    """
    started = []
    token = os.environ.get("SUBMARINE_TOKEN")
    if token is not None and (problem := weakness(token.strip())):
        raise StartFailed(f"SUBMARINE_TOKEN {problem}; {HOW_TO_MAKE_ONE}")  # before Ray starts for nothing
    with own_places(home), _alone(home):
        count = _count(home, services)
        needs_service = not service_answers(home)  # first: that a stranger has its port is said before Ray starts
        if not local_ray.is_running(home):
            local_ray.start(home, cpus, gpus=gpus)
            started.append("ray")
        if count > 1:
            started += several.start(home, count, *_environment(home))
        elif needs_service:
            _start_service(home)
            started.append("service")
    return started


def _count(home: Home, asked: int | None) -> int:
    """How many services there shall be. Raises StartFailed where others run, or so many cannot work together."""
    before = several.known(home)
    count = asked or before
    if count != before and any(part.running for part in _service_parts(home)):
        raise StartFailed(
            f"{before} control service{'s run' if before > 1 else ' runs'} in this home; "
            f"`submarine down` ends that, then `submarine up --services {count}`"
        )
    if count > 1:
        several.check(count)
    return count


@contextmanager
def own_places(home: Home) -> Iterator[None]:
    """What is made meanwhile is this user's alone. Raises StartFailed where other users could change what runs here."""
    packages = Path(os.environ.get("SUBMARINE_PACKAGE_DIRECTORY") or home.packages)
    with private.umask():
        try:
            for place in (home.root, packages):
                private.check(private.directory(place))
            for programs in (submarine_ray, serve_apps):
                private.check_tree(Path(programs.__file__ or "").parent)
        except private.NotPrivate as failure:
            raise StartFailed(str(failure)) from failure
        yield


def down(home: Home) -> list[str]:
    """Stop what `up` started, in this home alone; the names of what was stopped."""
    with _alone(home):
        stopped = [part.name for part in status(home) if part.running]
        known = processes.load(home.service_state)
        several.stop(home)
        if known:
            processes.stop(known[0], SERVICE_STOP_SECONDS)
        local_ray.stop(home)
        home.service_state.unlink(missing_ok=True)
    return stopped


def status(home: Home) -> list[Part]:
    """What runs, where, since when."""
    return [*_service_parts(home), _ray_part(home)]


def service_answers(home: Home) -> bool:
    """Whether this home's control service runs and answers. Raises StartFailed if a stranger has its port."""
    known = processes.load(home.service_state)
    alive = known is not None and known[0].process() is not None
    try:
        answer = httpx.get(f"{url()}/health", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    if answer.status_code == 200 and alive:
        return True
    if not alive:
        raise StartFailed(
            f"port {port()} is taken by a program that is not this home's control service; "
            "stop it, or choose another port with SUBMARINE_PORT"
        )
    return False


def _start_service(home: Home) -> None:
    known = processes.load(home.service_state)
    if known:
        processes.stop(known[0], SERVICE_STOP_SECONDS)
    env, _, content = _environment(home)
    before = processes.size(home.service_log)
    started = processes.start([sys.executable, "-m", "submarine_ray.app"], env, home.service_log)
    processes.save(home.service_state, started, port=port(), contentPort=content)
    deadline = time.monotonic() + SERVICE_SECONDS
    # A client for each look would cost what the service needs to start.
    with httpx.Client(base_url=url(), timeout=2, trust_env=False) as client:
        while time.monotonic() < deadline:
            if started.process() is None:
                said = processes.tail(home.service_log, before)
                raise StartFailed(f"the control service ended while starting; {home.service_log} says:\n{said}")
            with suppress(httpx.HTTPError):
                if client.get("/health").status_code == 200:
                    return
            time.sleep(0.1)
    said = processes.tail(home.service_log, before)
    raise StartFailed(f"the control service did not answer; {home.service_log} says:\n{said}")


def _environment(home: Home) -> tuple[dict[str, str], int, int | None]:
    """A service's environment, and the ports that it names: its own, and the content's unless the settings say that."""
    known = processes.load(home.service_state)
    env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")}
    env |= processes.beside_proxies(env)
    env |= {"SUBMARINE_HOME": str(home.root), "SUBMARINE_PORT": str(port()), "PYTHONUNBUFFERED": "1"}
    details: Mapping[str, Any] = known[1] if known else {}
    runs_on = known is not None and known[0].process() is not None and "services" in details  # what has the ports
    content = details["contentPort"] if runs_on else _content_port(details)
    env |= {"SUBMARINE_CONTENT_PORT": str(content)} if content else {}
    return env, port(), content


def _content_port(before: Mapping[str, Any]) -> int | None:
    """Where notebooks and dashboards are shown: where they were, else the next free port. None: the settings say so."""
    if os.environ.get("SUBMARINE_CONTENT_URL") or os.environ.get("SUBMARINE_CONTENT_PORT"):
        return None
    known = before.get("contentPort") if before.get("port") == port() else None
    return next(
        filter(_is_free, [*filter(None, (known,)), *range(port() + 1, min(port() + CONTENT_TRIES, 65535) + 1)]), None
    )


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((os.environ.get("SUBMARINE_HOST", "127.0.0.1"), number))
        except OSError:
            return False
    return True


def _service_parts(home: Home) -> list[Part]:
    """The control service; of several, what stands in front of them first."""
    together = _service_part(home)
    if several.known(home) == 1:
        return [together]
    found = [several.one(home, number) for number in several.numbers(home)]
    return [together, *(_one_part(one) for one in found)]


def _one_part(one: several.One) -> Part:
    name = f"service {one.number}"
    if one.process is None:
        return Part(name, False, "", None, None, f"it has ended; see {one.log}, start it with `submarine up`")
    details = f"does not answer; see {one.log}" if one.health is None else f"log {one.log}"
    return Part(name, True, "", one.process.pid, one.process.create_time(), details)


def _service_part(home: Home) -> Part:
    known = processes.load(home.service_state)
    process = known[0].process() if known else None
    if known is None or process is None:
        return Part("service", False, url(), None, None, "start it with `submarine up`")
    where = f"http://127.0.0.1:{known[1].get('port', port())}"
    try:
        health: dict[str, Any] = httpx.get(f"{where}/health", timeout=3, trust_env=False).json()
        details = f"database {health['database']}, MLflow {health['tracking']}"
        if content := known[1].get("contentPort"):
            details += f", notebooks shown at port {content}"
        details = "; ".join([details, *health.get("problems", [])])
    except (httpx.HTTPError, ValueError, KeyError):
        details = f"does not answer; see {home.service_log}"
    exposed = _exposed(where)
    return Part("service", True, where, process.pid, process.create_time(), details, exposed)


def _exposed(where: str) -> tuple[str, ...]:
    from submarine_ray.client.errors import ClientError
    from submarine_ray.client.http import Service

    try:
        return tuple(Service(where, patience=0).call("GET", "/api/v1/exposure"))
    except ClientError as failure:
        return (f"What is open cannot be told: {failure}",)


def _ray_part(home: Home) -> Part:
    known = processes.load(home.ray_state)
    process = known[0].process() if known else None
    if known is None or process is None:
        return Part("ray", False, "", None, None, "start it with `submarine up`")
    return Part(
        "ray", True, str(known[1]["address"]), process.pid, process.create_time(), f"GCS {known[1]['gcsAddress']}"
    )


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Two `up` or `down` at once take turns."""
    home.lock.parent.mkdir(parents=True, exist_ok=True)
    with home.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
