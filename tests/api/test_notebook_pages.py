"""A real JupyterLab behind both doors: a browser gets in with Jupyter's own checks on, a program with its token."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
import websockets.sync.client as websockets
from websockets.exceptions import InvalidStatus

from submarine_ray.access.connections import PeerProtocol
from submarine_ray.app import build
from submarine_ray.content import listener
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from tests.conftest import free_port, wait_until
from tests.jupyter import Jupyter
from tests.jupyterlab import TOKEN, add_running, jupyterlab

CLICK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
LAB = "/notebook/default/mine/lab"


@dataclass
class Running:
    main: str
    content: str
    raw: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("lab") / "files"
    folder.mkdir()
    settings, sockets = listener.opened(Settings(home=tmp_path_factory.mktemp("pages"), port=free_port()))
    app = build(settings)
    tracking = app.state.platform.tracking
    tracking.start = tracking._ready.set  # MLflow keeps one store a process, which stays others'; nobody waits for it
    server = uvicorn.Server(uvicorn.Config(app, http=PeerProtocol, log_config=None))
    thread = threading.Thread(target=server.run, args=(sockets,))
    with jupyterlab(folder, "mine") as address:
        thread.start()
        wait_until(lambda: server.started, 60, "the service answers")
        secrets = SecretBox(settings.layout.secret_key)
        add_running(app.state.platform.database, secrets, "mine", address)
        add_running(app.state.platform.database, secrets, "hostile", address, "far")
        name = "http://127.0.0.1"
        yield Running(f"{name}:{settings.port}", f"{name}:{settings.content_port}", f"http://{address}")
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def browser(running: Running) -> Iterator[httpx.Client]:
    """As a page of the notebook sends: it has been opened, and has its cookies."""
    with httpx.Client(base_url=running.content, timeout=30) as client:
        opened = client.get(running.main + LAB, headers=CLICK, follow_redirects=True)
        assert opened.status_code == 200 and "JupyterLab" in opened.text
        assert str(opened.url) == running.content + LAB and "ticket" not in str(opened.url)
        client.headers.update(FETCH)
        yield client


def test_a_page_of_a_notebook_is_looked_at_by_jupyter_itself(running: Running, browser: httpx.Client) -> None:
    assert {cookie.path for cookie in browser.cookies.jar} == {"/notebook/default/mine", "/notebook/default/mine/"}
    terminals = "/notebook/default/mine/api/terminals"
    assert browser.get(terminals, headers={"Referer": running.content + LAB}).status_code == 200
    own = {"Origin": running.content}
    for forged in ({}, own, {**own, "Authorization": f"token {TOKEN}"}, {**own, "X-XSRFToken": "guessed"}):
        refused = browser.post(f"{terminals}?token={TOKEN}", headers=forged)
        assert refused.status_code == 403 and "xsrf" in refused.text.lower(), forged
    xsrf = browser.cookies["_xsrf"]
    made = browser.post(terminals, headers={**own, "X-XSRFToken": xsrf})
    assert made.status_code == 200, made.text

    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
    path = f"/notebook/default/mine/terminals/websocket/{made.json()['name']}?token={TOKEN}"
    url = running.content.replace("http", "ws") + path
    with websockets.connect(url, origin=running.content, additional_headers={"Cookie": cookies}) as terminal:  # type: ignore[arg-type]
        terminal.send(json.dumps(["stdin", "echo $((6 * 7))\r"]))
        wait_until(lambda: "42" in str(terminal.recv(30)), 30, "the terminal answers")
    for origin in (running.main, "http://127.0.0.1:9", "http://evil.example", None):
        with (
            pytest.raises(InvalidStatus, match="403"),
            websockets.connect(url, origin=origin, additional_headers={"Cookie": cookies}),  # type: ignore[arg-type]
        ):
            pass
    # Without our door before it, Jupyter refuses too: its check is on.
    host = running.content.removeprefix("http://")
    raw = f"ws://{host}{path.split('?')[0]}"
    at = ("127.0.0.1", int(running.raw.rsplit(":", 1)[1]))
    more = {"Cookie": cookies}
    with (
        pytest.raises(InvalidStatus, match="403"),
        websockets.connect(raw, sock=socket.create_connection(at), origin=running.main, additional_headers=more),  # type: ignore[arg-type]
    ):
        pass


def test_a_program_uses_the_main_origin_with_no_more_than_its_credentials(running: Running) -> None:
    jupyter = Jupyter(f"{running.main}/notebook/default/mine")
    assert jupyter.http.get("/lab").status_code == 200 and not jupyter.http.cookies
    assert "is 42" in jupyter.run_in_terminal('echo "6 times 7 is $((6 * 7))"', "is 42")
    for headers in (FETCH, {"Origin": running.content}, {"Origin": running.main}, {"Cookie": "a=b"}):
        assert jupyter.http.post("/api/terminals", headers=headers).status_code == 403
    for origin in (running.content, running.main):
        with pytest.raises(InvalidStatus, match="403"), jupyter.connect("/api/events/subscribe", origin=origin):
            pass


def test_a_notebook_that_has_gone_is_waited_for(running: Running, browser: httpx.Client) -> None:
    gone = browser.get("/notebook/default/other/lab", headers=CLICK)
    assert gone.status_code == 303 and gone.headers["location"] == f"{running.main}/notebook/default/other/lab"


def test_a_cluster_that_says_a_notebook_is_elsewhere_is_not_believed(running: Running) -> None:
    """Its jobs' logs say where notebooks listen; a hostile one names a metadata service, or this machine."""
    answer = httpx.get(f"{running.main}/notebook/default/hostile/api/contents")
    assert answer.status_code == 503 and "SUBMARINE_ALLOW_CLUSTER_NETWORKS" in answer.json()["message"]
