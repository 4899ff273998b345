"""The service's settings, from `SUBMARINE_*` environment variables (docs/configuration.md lists them)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from submarine_ray.core.networks import Networks
from submarine_ray.spec.home import DEFAULT_PORT, Home
from submarine_ray.spec.hosts import Served, is_loopback, listed, origin_of
from submarine_ray.spec.problems import message
from submarine_ray.spec.strength import HOW_TO_MAKE_ONE, weakness

_ORIGIN = re.compile(r"https?://(\*\.)?([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:(?P<port>\d{1,5}))?/?", re.IGNORECASE)


class Settings(BaseSettings):
    """Everything that an operator may set."""

    model_config = SettingsConfigDict(env_prefix="SUBMARINE_", extra="ignore")

    home: Path = Field(default_factory=lambda: Home.from_env().root, description="where everything lies")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535)
    socket: Path | None = Field(
        default=None, description="Unix socket to listen on instead, behind what listens on the ports for us"
    )
    public_url: str | None = Field(default=None, description="how clusters and users reach this service")
    content_url: str | None = Field(
        default=None, description="where notebooks, dashboards and artifacts are shown; default: a second port"
    )
    content_port: int | None = Field(default=None, ge=1, le=65535, description="that port; default: the next free one")
    trust_content: bool = Field(
        default=False, description="with one origin for all: pages of content get no sandbox, and may do what users may"
    )
    database_url: SecretStr | None = Field(default=None, description="mysql+pymysql://...; default: SQLite in home")
    mlflow_database_url: SecretStr | None = Field(default=None, description="MLflow's own database")
    artifact_root: str | None = Field(default=None, description="directory or fsspec URL of MLflow's artifacts")
    token: SecretStr | None = Field(default=None, description="bearer token that every request must carry")
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="further Host headers to accept"
    )
    secret_key: SecretStr | None = Field(default=None, description="seals stored secrets; default: a file in home")
    package_directory: Path | None = Field(
        default=None, description="uploaded code; shared by services that share work"
    )
    default_cluster: str = Field(default="local", description="where experiments run that name no cluster")
    cluster_configurations: Path = Field(
        default_factory=lambda: Home.from_env().root / "cluster_configs", description="clusters registered at the start"
    )
    kubeconfig_directory: Path = Field(default=Path("~/.kube"), description="where kubeconfig files may lie")
    max_body_bytes: int = Field(default=1_000_000, description="largest JSON or YAML body")
    max_upload_bytes: int = Field(default=100 * 2**30, description="largest artifact, or file of a notebook")
    max_connections: int = Field(default=4000, ge=32, description="connections at once; health is answered beyond")
    max_connections_per_peer: int = Field(default=2000, ge=8, description="of them, from one address")
    max_package_bytes: int = Field(default=100 * 2**20, description="largest uploaded working directory")
    max_unpacked_bytes: int = Field(default=2**30, gt=0, description="largest size that one may unpack to")
    lease_seconds: float = Field(default=30.0, gt=1, description="how long a reconciler holds a row")
    cluster_timeout_seconds: float = Field(default=10.0, gt=0, description="one request to a cluster")
    allow_cluster_networks: Annotated[Networks, NoDecode] = Field(
        default_factory=list, description="loopback, link-local and other closed networks where clusters may be"
    )
    notebook_idle_seconds: int = Field(default=0, ge=0, description="stop notebooks idle for so long; 0: never")
    session_seconds: int = Field(default=7 * 24 * 3600, ge=60, description="how long a browser stays signed in")
    system_metrics_seconds: float = Field(default=10.0, ge=0, description="from one sample to the next; 0: none")
    min_free_bytes: int = Field(default=512 * 2**20, ge=0, description="with less free disk, health is degraded")
    log_level: str = "INFO"
    log_json: bool = False

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _are_listed(cls, hosts: object) -> object:
        return listed(hosts) if isinstance(hosts, str) else hosts

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if Served.parsed(host) is None:
                raise ValueError(f"SUBMARINE_ALLOWED_HOSTS: {host!r} is not NAME, NAME:PORT or SCHEME://NAME[:PORT]")
        return hosts

    @field_validator("public_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        origin = Served.parsed(origin_of(url)) if url else None
        if url and (origin is None or origin.scheme is None):
            raise ValueError(f"SUBMARINE_PUBLIC_URL {url!r} is not http(s)://NAME[:PORT]")
        return url

    @field_validator("token")
    @classmethod
    def _keeps_strangers_out(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None:
            return None
        stripped = token.get_secret_value().strip()  # files end with a newline
        if problem := weakness(stripped):
            raise ValueError(f"SUBMARINE_TOKEN {problem}; {HOW_TO_MAKE_ONE}")
        return SecretStr(stripped)

    @model_validator(mode="after")
    def _open_needs_token(self) -> Self:
        if not self.is_loopback and self.token is None:
            raise ValueError(
                f"SUBMARINE_HOST={self.host} listens beyond this machine: set SUBMARINE_TOKEN as well, "
                f"so that only its holders can start processes here; {HOW_TO_MAKE_ONE}"
            )
        public = Served.parsed(origin_of(self.public_url)) if self.public_url else None
        if public and not is_loopback(public.host) and self.token is None:
            raise ValueError(
                f"SUBMARINE_PUBLIC_URL={self.public_url} says that others come through a proxy or a tunnel, behind "
                f"which the service cannot tell them apart: set SUBMARINE_TOKEN as well; {HOW_TO_MAKE_ONE}"
            )
        return self

    @field_validator("content_url")
    @classmethod
    def _is_origin(cls, value: str | None) -> str | None:
        if value is not None and ((found := _ORIGIN.fullmatch(value)) is None or int(found["port"] or 1) > 65535):
            raise ValueError(
                f"{value[:120]!r} is no address to show content at; write https://content.example.com, or "
                "https://*.content.example.com for a name of each notebook's and dashboard's own"
            )
        return value.lower().rstrip("/") if value else value

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def layout(self) -> Home:
        return Home(self.home.expanduser().absolute())

    @property
    def url(self) -> str:
        """The service as clusters and users reach it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def sqlalchemy_url(self) -> str:
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.layout.database}"

    @property
    def mlflow_url(self) -> str:
        if self.mlflow_database_url:
            return self.mlflow_database_url.get_secret_value()
        return f"sqlite:///{self.layout.mlflow_database}"

    @property
    def is_shared(self) -> bool:
        """Whether several services may work on the same databases: one process owns a SQLite file."""
        return not any(url.startswith("sqlite") for url in (self.sqlalchemy_url, self.mlflow_url))

    @property
    def artifacts(self) -> str:
        return self.artifact_root or str(self.layout.artifacts)


def explained(failure: Exception) -> str:
    """What is wrong with the settings, without what was set: that may be a secret."""
    if not isinstance(failure, ValidationError):
        return str(failure)
    said = []
    for item in failure.errors(include_input=False, include_url=False):
        where = "".join(f"SUBMARINE_{part}: ".upper() for part in item["loc"][:1])
        text = message(item)
        said.append(text if "SUBMARINE_" in text else f"{where}{text}")
    return "; ".join(said)
