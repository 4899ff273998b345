"""One port for several control services: HAProxy in front of them, the one that comes with Ray Serve.

A browser stays with one service by a cookie, because a page's WebSocket must reach the process that made the page; who
sends no cookies is balanced. HAProxy speaks to each service over a Unix socket that this user alone may open, and says
there who called (submarine_ray/core/limits/front.py). docs/decisions/0041 has the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

COOKIE = "submarine_service"
_HELP = "`submarine status` shows the control services, and `submarine up` starts those that ended."
_SAID = {
    HTTPStatus.BAD_GATEWAY: f"The control service ended before it had answered; try again in a moment. {_HELP}",
    HTTPStatus.SERVICE_UNAVAILABLE: f"No control service answers now; try again in a moment. {_HELP}",
    HTTPStatus.GATEWAY_TIMEOUT: f"The control service has not answered in time. {_HELP}",
}
# Timeouts: a service bounds what clients send by itself; a request may wait for a cluster, a notebook's socket idles.
# A service is asked for /health, not /ready: without the database each still answers, and says what is wrong.
# Buffers and headers: what the services take (core/limits/connections.py), and HAProxy's own additions.
_CONFIGURATION = """\
# Made by `submarine up --services`.
global
    maxconn {most}
    no strict-limits
    nbthread 1
    tune.bufsize 98304
    tune.maxrewrite 4096
    tune.http.maxhdr 160
    log stderr format raw local0 warning
defaults
    mode http
    log global
    option dontlog-normal
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
    timeout connect 2s
    timeout check 2s
    timeout http-request 15s
    timeout http-keep-alive 1m
    timeout client 10m
    timeout server 10m
    timeout tunnel 1h
{errors}
frontend submarine
{binds}
    default_backend services
backend services
    balance leastconn
    cookie {cookie} insert indirect nocache httponly attr "SameSite=Lax"
    http-request disable-l7-retry unless METH_GET
    option httpchk
    http-check send meth GET uri /health ver HTTP/1.1 hdr Host 127.0.0.1
    http-check expect status 200
    default-server send-proxy-v2 check check-send-proxy inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
    default-server observe layer4 error-limit 1 on-error mark-down
{servers}
"""


def configuration(host: str, ports: Sequence[int], sockets: Sequence[Path], most: int = 4000) -> str:
    """HAProxy's configuration: it listens at `host` on each port, and passes on to each socket."""
    address = f"[{host}]" if ":" in host else host
    return _CONFIGURATION.format(
        most=most,
        errors="\n".join(
            f"    http-error status {status.value} content-type application/json string {_quoted(_answer(status))}"
            for status in _SAID
        ),
        cookie=COOKIE,
        binds="\n".join(f"    bind {address}:{port}" for port in ports),
        servers="\n".join(
            f"    server service-{number} {_quoted(f'unix@{path}')} cookie {number}"
            for number, path in enumerate(sockets, 1)
        ),
    )


def _answer(status: HTTPStatus) -> str:
    """As the services' own answers are (core/envelope.py)."""
    told: dict[str, object] = {"status": status.name, "code": status.value, "message": _SAID[status]}
    return json.dumps(told | {"success": False, "result": None, "attributes": {}})


def _quoted(text: str) -> str:
    """A word of HAProxy's: nothing is special within single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"
