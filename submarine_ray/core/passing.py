"""Which headers the proxy forwards, each way. Those of one connection, origin or machine are dropped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

Header = tuple[bytes, bytes]

# Of one connection, not of the message (RFC 9110, section 7.6.1); Connection names more.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"transfer-encoding",
     b"http2-settings", b"expect")
)  # fmt: skip
# Who asks and how they came is for this service to say: a target may believe it, and a cloud's metadata service does.
_CLAIMS = re.compile(
    rb".*(forwarded|metadata).*|proxy-.*|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|cf-connecting-ip"
    rb"|x-original-.*|x-rewrite-url|x-http-method(-override)?|x-method-override|(x-)?remote-user|x-scheme|via"
    rb"|front-end-https|x-ray-authorization"
)
# These change the whole origin, not the target's own part of it.
_OF_THE_ORIGIN = frozenset(
    (b"strict-transport-security", b"clear-site-data", b"alt-svc", b"service-worker-allowed", b"nel", b"report-to",
     b"reporting-endpoints", b"accept-ch", b"critical-ch", b"public-key-pins", b"origin-trial", b"set-login")
)  # fmt: skip
# The server writes its own, and proxies in front complain of two.
_OF_THE_SERVER = frozenset((b"date", b"server"))
_COOKIE_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OUR_COOKIE = re.compile(rb"(__(host|secure)-)?submarine", re.IGNORECASE)
_PREFIXED = re.compile(rb"__(host|http)", re.IGNORECASE)  # a browser takes these with Path=/ alone
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


class Ambiguous(Exception):
    """Two readers could take the message for two different ones."""


def check_framing(headers: Iterable[Header]) -> None:
    """Refuse what request smuggling is made of. Raises Ambiguous."""
    found = [(name.lower(), value.strip()) for name, value in headers]
    lengths = [value for name, value in found if name == b"content-length"]
    codings = [value for name, value in found if name == b"transfer-encoding"]
    if lengths and codings:
        raise Ambiguous("It has both Content-Length and Transfer-Encoding.")
    if len(lengths) > 1 or any(not value.isdigit() for value in lengths):
        raise Ambiguous("Its Content-Length is not one number.")
    if len(codings) > 1 or any(value.lower() != b"chunked" for value in codings):
        raise Ambiguous("Its Transfer-Encoding is not 'chunked'.")
    if any(_CONTROL.search(value.replace(b"\t", b" ")) for _, value in found):
        raise Ambiguous("A header has control characters in it.")


def to_target(headers: Iterable[Header], also_dropped: Iterable[bytes] = ()) -> list[Header]:
    """What of a client's request its target sees: without this service's cookies and tokens."""
    headers = list(headers)
    dropped = _HOP_BY_HOP | _nominated(headers) | {b"host", b"authorization", b"cookie", *also_dropped}
    kept = [
        (name, value)
        for name, value in headers
        # WSGI servers read X_Forwarded_For as X-Forwarded-For.
        if (plain := name.lower().replace(b"_", b"-")) not in dropped and not _CLAIMS.fullmatch(plain)
    ]
    cookies = [pair for name, value in headers if name.lower() == b"cookie" for pair in _foreign(value)]
    return [*kept, (b"cookie", b"; ".join(cookies))] if cookies and b"cookie" not in also_dropped else kept


def from_target(headers: Iterable[Header], path: str) -> list[Header]:
    """What of a target's answer the client sees; cookies are confined to `path`."""
    headers = [(name.lower(), value) for name, value in headers]
    dropped = _HOP_BY_HOP | _nominated(headers) | _OF_THE_ORIGIN | _OF_THE_SERVER
    if any(name == b"transfer-encoding" for name, _ in headers):
        dropped |= {b"content-length"}  # which is wrong then, and gone (RFC 9112, section 6.3)
    kept = []
    for name, value in headers:
        if name == b"set-cookie":
            kept += [(name, cookie)] if (cookie := confined(value, path)) else []
        elif name not in dropped and not name.startswith(b"access-control-"):
            kept.append((name, value))
    return kept


def confined(cookie: bytes, path: str) -> bytes | None:
    """A Set-Cookie that reaches `path` and below, no other host, no other site; None for what is dropped."""
    pair, *attributes = (part.strip() for part in cookie.split(b";"))
    name, _, value = pair.partition(b"=")
    name = name.strip()
    # A cookie without a name is sent as its value alone: "submarine_session=..." would be ours again.
    if not _COOKIE_NAME.fullmatch(name) or _OUR_COOKIE.match(name) or _PREFIXED.match(name) or _CONTROL.search(cookie):
        return None
    own, kept, site = path.encode().rstrip(b"/"), [], b"Lax"
    where = own or b"/"
    for attribute in attributes:
        word, _, said = (part.strip() for part in attribute.partition(b"="))
        key = word.lower()
        if key == b"path" and said.startswith(own + b"/") and b".." not in said and b"%" not in said:
            where = said
        elif key == b"samesite" and said.lower() == b"strict":
            site = b"Strict"
        elif key in (b"expires", b"max-age", b"httponly", b"secure"):
            kept.append(attribute)
    return b"; ".join([name + b"=" + value.strip(), *kept, b"Path=" + where, b"SameSite=" + site])


def _foreign(cookies: bytes) -> Iterator[bytes]:
    for pair in cookies.split(b";"):
        if (pair := pair.strip()) and not _OUR_COOKIE.match(pair):
            yield pair


def _nominated(headers: Iterable[Header]) -> frozenset[bytes]:
    """What Connection says is of this connection alone."""
    values = [value for name, value in headers if name.lower() == b"connection"]
    return frozenset(word.strip().lower() for value in values for word in value.split(b","))
