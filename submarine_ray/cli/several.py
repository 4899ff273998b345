"""Several control services of one home behind one port: started, looked at and stopped together."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from submarine_ray.cli import front, haproxy, local_ray, processes
from submarine_ray.cli.local_ray import StartFailed
from submarine_ray.spec import private
from submarine_ray.spec.home import Home

START_SECONDS = 180  # on an empty database they make their tables one after the other
STOP_SECONDS = 15
HANGING_SECONDS = 3  # for one that answers nobody any more
_LONGEST_PATH = 90  # of a Unix socket: Linux takes 107 bytes, and HAProxy adds some while it binds
_DATABASES = ("SUBMARINE_DATABASE_URL", "SUBMARINE_MLFLOW_DATABASE_URL")


@dataclass(frozen=True)
class One:
    """One of the services: its process, or None where it has ended, and whether it answers."""

    number: int
    process: psutil.Process | None
    health: Mapping[str, Any] | None
    log: Path


def check(count: int) -> None:
    """Raises StartFailed where so many services cannot work together."""
    if lacking := [name for name in _DATABASES if not _is_server(os.environ.get(name, ""))]:
        raise StartFailed(
            f"{count} services cannot share a SQLite file, which one process owns: set {' and '.join(lacking)} to a "
            "database server's address (mysql+pymysql://USER:PASSWORD@HOST/DATABASE), or start one service"
        )
    if haproxy.binary() is None:
        raise StartFailed("there is no HAProxy to put in front of the services; install ray[serve], which brings it")


def known(home: Home) -> int:
    """How many services `submarine up` has started in this home and not stopped; 1 where it was one, or none."""
    found = processes.load(home.service_state)
    count = found[1].get("services", 1) if found else 1
    return count if isinstance(count, int) else 1


def start(home: Home, count: int, env: Mapping[str, str], port: int, content: int | None) -> list[str]:
    """Start what is missing of `count` services and of what stands in front, and wait until each answers; the names of
    what was started. Raises StartFailed.
    """
    started = []
    before = {number: processes.size(home.service_log_of(number)) for number in range(1, count + 1)}
    for number in range(1, count + 1):
        if one(home, number).health is None:
            if hanging := processes.load(home.service_state_of(number)):
                processes.stop(hanging[0], HANGING_SECONDS)
            own = {"SUBMARINE_SOCKET": str(_socket(home, number))}
            command = [sys.executable, "-m", "submarine_ray.app"]
            made = processes.start(command, {**env, **own}, home.service_log_of(number))
            processes.save(home.service_state_of(number), made)
            started.append(f"service {number}")
    front_known = processes.load(home.service_state)
    if front_known is None or front_known[0].process() is None:
        _start_front(home, count, port, content)
        started.append("front")
    for number in range(1, count + 1):
        _wait(home, number, before[number])
    return started


def _start_front(home: Home, count: int, port: int, content: int | None) -> None:
    binary = haproxy.binary()
    assert binary is not None  # noqa: S101 (check has said so)
    sockets = [_socket(home, number) for number in range(1, count + 1)]
    set_by_user = os.environ.get("SUBMARINE_CONTENT_PORT")
    ports = [port, *(int(one) for one in (content or set_by_user,) if one)]
    file = home.front_configuration
    private.file(file).write_text(front.configuration(os.environ.get("SUBMARINE_HOST", "127.0.0.1"), ports, sockets))
    before = processes.size(home.front_log)
    made = processes.start([binary, "-db", "-f", str(file)], dict(os.environ), home.front_log)
    processes.save(home.service_state, made, port=port, contentPort=content, services=count)
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=2, trust_env=False) as client:
        while time.monotonic() < deadline:
            if made.process() is None:
                said = processes.tail(home.front_log, before)
                raise StartFailed(f"HAProxy ended while starting; {home.front_log} says:\n{said}")
            with suppress(httpx.HTTPError):
                client.get("/health")
                return  # whatever it says: the services are waited for one by one
            time.sleep(0.1)
    raise StartFailed(f"HAProxy did not answer; {home.front_log} says:\n{processes.tail(home.front_log, before)}")


def _wait(home: Home, number: int, before: int) -> None:
    log, deadline = home.service_log_of(number), time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = one(home, number)
        if found.health is not None:
            return
        if found.process is None:
            said = processes.tail(log, before)
            raise StartFailed(f"control service {number} ended while starting; {log} says:\n{said}")
        time.sleep(0.2)
    raise StartFailed(f"control service {number} did not answer; {log} says:\n{processes.tail(log, before)}")


def one(home: Home, number: int) -> One:
    """How a service is, asked past what stands in front."""
    found = processes.load(home.service_state_of(number))
    process = found[0].process() if found else None
    health = None
    if process is not None:
        transport = httpx.HTTPTransport(uds=str(_socket(home, number)))
        with suppress(httpx.HTTPError, ValueError), httpx.Client(transport=transport, timeout=3) as client:
            answer = client.get("http://127.0.0.1/health")
            health = answer.json() if answer.status_code == 200 else None
    return One(number, process, health, home.service_log_of(number))


def numbers(home: Home) -> list[int]:
    """Of the services that have been started in this home."""
    names = (re.fullmatch(r"service-(\d+)\.json", path.name) for path in home.service_state.parent.glob("service-*"))
    return sorted(int(name[1]) for name in names if name)


def stop(home: Home) -> None:
    """Stop them all at once, and what stands in front before them."""
    front_known = processes.load(home.service_state)
    if front_known and "services" in front_known[1]:
        processes.stop(front_known[0], STOP_SECONDS)
    found = [known for number in numbers(home) if (known := processes.load(home.service_state_of(number)))]
    for started, _ in found:
        with suppress(psutil.Error):
            if (process := started.process()) is not None:
                process.terminate()
    for started, _ in found:
        processes.stop(started, STOP_SECONDS)
    for number in numbers(home):
        home.service_state_of(number).unlink(missing_ok=True)
        _socket(home, number).unlink(missing_ok=True)


def _socket(home: Home, number: int) -> Path:
    """Where a service listens; a deep home gets a short path."""
    direct = home.service_state.parent / f"service-{number}.sock"
    return direct if len(str(direct)) <= _LONGEST_PATH else local_ray.short_directory(home) / direct.name


def _is_server(url: str) -> bool:
    return bool(url) and not url.startswith("sqlite")
