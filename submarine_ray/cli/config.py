"""The CLI's configuration: which control service it talks to. Kept in SUBMARINE_HOME/cli.yaml."""

from __future__ import annotations

import os
from typing import Any

from submarine_ray.cli.output import Problem
from submarine_ray.spec.home import DEFAULT_PORT, Home

DEFAULTS: dict[str, dict[str, Any]] = {"connection": {"hostname": "localhost", "port": DEFAULT_PORT}}


def load() -> dict[str, Any]:
    """The configuration, defaults filled in."""
    from submarine_ray.spec import documents

    path = Home.from_env().cli_config
    try:
        stored = documents.load(path.read_bytes()) or {}
    except FileNotFoundError:
        stored = {}
    except (OSError, documents.NotYaml) as failure:
        raise Problem(f"{path} cannot be read ({failure}); `submarine config init` writes it anew") from failure
    return {"connection": {**DEFAULTS["connection"], **stored.get("connection", {})}}


def save(config: dict[str, Any]) -> None:
    from submarine_ray.spec import documents

    path = Home.from_env().cli_config
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(documents.dump(config))


def get(path: str) -> Any:
    """A setting by its dotted path. Raises Problem."""
    section, _, key = path.partition(".")
    found = load().get(section, {})
    if key not in found:
        raise Problem(f"there is no setting {path!r}; there are {', '.join(known())}")
    return found[key]


def set(path: str, value: str) -> None:
    """Raises Problem."""
    get(path)
    if path == "connection.port" and not (value.isdigit() and 0 < int(value) < 65536):
        raise Problem(f"{value!r} is not a port; use a number from 1 to 65535")
    config = load()
    section, _, key = path.partition(".")
    config[section][key] = int(value) if path == "connection.port" else value
    save(config)


def known() -> list[str]:
    return [f"{section}.{key}" for section, keys in DEFAULTS.items() for key in keys]


def service_url() -> str:
    """The control service: `SUBMARINE_URL`, else `SUBMARINE_PORT` here, else the configuration."""
    if url := os.environ.get("SUBMARINE_URL"):
        return url.rstrip("/")
    if port := os.environ.get("SUBMARINE_PORT"):
        return f"http://127.0.0.1:{port}"
    connection = load()["connection"]
    host = "127.0.0.1" if connection["hostname"] == "localhost" else connection["hostname"]
    return f"http://{host}:{connection['port']}"
