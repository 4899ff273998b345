"""Plain pages without scripts, for what a browser opens outside the workbench."""

from __future__ import annotations

import html
from http import HTTPStatus

from starlette.responses import HTMLResponse

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · submarine-ray</title>
<meta name="viewport" content="width=device-width">{head}<style>:root{{color-scheme:light dark}}
body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:40rem;padding:0 1rem;overflow-wrap:anywhere}}
h1{{font-size:1.4rem}}</style></head><body><h1>{title}</h1>{body}</body></html>"""


def plain(title: str, body: str, status: HTTPStatus, head: str = "") -> HTMLResponse:
    """`title` is text; `body` and `head` are HTML, in which whatever is not ours has been escaped."""
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(_PAGE.format(title=html.escape(title), body=body, head=head), status, headers)
