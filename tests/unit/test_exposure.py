"""`submarine status` warns of what is open to others."""

from __future__ import annotations

import os
import pwd
import threading
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner

from submarine_ray.access import endpoints, exposure
from submarine_ray.access.connections import PeerProtocol
from submarine_ray.access.exposure import Exposure
from submarine_ray.access.gate import Gate
from submarine_ray.cli import platform, processes
from submarine_ray.cli.main import app
from submarine_ray.content.exposed import exposed
from submarine_ray.content.origins import Origins
from submarine_ray.core.settings import Settings
from submarine_ray.spec.home import Home
from tests.conftest import TOKEN, free_port, wait_until


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> list[pwd.struct_passwd]:
    """Accounts of this machine, as tests want them."""
    accounts = [
        pwd.struct_passwd(("root", "x", 0, 0, "", "/root", "/bin/bash")),
        pwd.struct_passwd(("daemon", "x", 1, 1, "", "/", "/usr/sbin/nologin")),
        pwd.struct_passwd(("nobody", "x", 65534, 65534, "", "/", "/usr/sbin/nologin")),
        pwd.struct_passwd(("ada", "x", 1000, 1000, "", "/home/ada", "/bin/bash")),
    ]
    monkeypatch.setattr(exposure.pwd, "getpwall", lambda: accounts)
    monkeypatch.setattr(exposure.os, "geteuid", lambda: 1000)
    return accounts


def test_a_service_of_its_only_user_has_nothing_open() -> None:
    assert Exposure(Settings()).found() == []


def test_what_is_open_is_told_with_what_to_do(people: list[pwd.struct_passwd], monkeypatch: pytest.MonkeyPatch) -> None:
    beyond = Exposure(Settings(host="0.0.0.0", token=TOKEN))  # type: ignore[arg-type]
    (said,) = beyond.found()
    assert "0.0.0.0:32080 without TLS" in said and "SUBMARINE_PUBLIC_URL=https://" in said
    behind = Settings(host="0.0.0.0", token=TOKEN, public_url="https://ml.example.org")  # type: ignore[arg-type]
    assert Exposure(behind).found() == []
    ingress = {"public_url": "http://submarine.submarine:32080", "allowed_hosts": ["https://ml.example.org"]}
    (said,) = Exposure(Settings(host="0.0.0.0", token=TOKEN, **ingress)).found()  # type: ignore[arg-type]
    assert said.startswith("Users come by https, but experiments come to http://submarine.submarine:32080")
    people.append(pwd.struct_passwd(("eve", "x", 1001, 1001, "", "/home/eve", "/bin/zsh")))
    people.append(pwd.struct_passwd(("backup", "x", 1002, 1002, "", "/", "/usr/sbin/nologin")))
    (said,) = Exposure(Settings()).found()
    assert "other users (eve)" in said and "Ray Serve knows no users" in said
    monkeypatch.setattr(exposure.os, "geteuid", lambda: 0)
    assert any("runs as root" in sentence for sentence in Exposure(Settings()).found())
    more = Exposure(Settings())
    more.add(lambda: ["Something of another feature's is open."])
    assert more.found()[-1] == "Something of another feature's is open."


@pytest.mark.parametrize(("trusted", "said"), [(False, "in a sandbox"), (True, "without a sandbox")])
def test_content_at_the_services_own_address_is_told(trusted: bool, said: str) -> None:
    settings = Settings(token=TOKEN, public_url="https://ml.example.org", content_url="https://ml.example.org")  # type: ignore[arg-type]
    (sentence,) = exposed(Origins(settings), trusted)
    assert said in sentence and "SUBMARINE_CONTENT_URL" in sentence
    assert list(exposed(Origins(Settings()), trusted)) == []


def test_status_warns_of_what_is_open(
    tmp_path: Path, people: list[pwd.struct_passwd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the service must know its own user again
    monkeypatch.setenv("SUBMARINE_HOME", str(tmp_path))
    found = Exposure(Settings())
    found.add(lambda: ["A door is open. Close it."])
    service = FastAPI()
    service.include_router(endpoints.router(None, found))  # type: ignore[arg-type]  # it asks for no sessions
    port = free_port()
    gate = Gate(service, Settings(port=port))
    config = uvicorn.Config(gate, port=port, http=PeerProtocol, log_config=None, lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, 20, "the service answers")
        me = processes.Started(os.getpid(), processes.psutil.Process().create_time())
        processes.save(Home(tmp_path).service_state, me, port=port)
        (part, _) = platform.status(Home(tmp_path))
        assert part.exposed[-1] == "A door is open. Close it."
        assert "open: A door is open. Close it." in CliRunner().invoke(app, ["status"]).output
    finally:
        server.should_exit = True
        thread.join(20)
