"""Builds a notebook's launch, and reads from its log where JupyterLab listens."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters.drivers.base import Driver, UnknownJob
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.notebooks.decide import Said
from submarine_ray.notebooks.service import stored_spec
from submarine_ray.notebooks.tables import NotebookRow
from submarine_ray.spec.launch import Launch, Notebook, Replica
from submarine_ray.spec.notebooks import path

# Only the runner itself begins a line so: what JupyterLab and its kernels write has their replica's name before it.
_LISTENS = re.compile(rb"\[submarine\] notebook at (\S+:\d+)$")
_IDLE = b"[submarine] the notebook was idle"
LONGEST_NOTICE = 4096


class Launching:
    """Makes launches of this service's notebooks."""

    def __init__(self, settings: Settings, secrets: SecretBox, tokens: Tokens, tracking_uri: str) -> None:
        self._settings = settings
        self._secrets = secrets
        self._tokens = tokens
        self._tracking_uri = tracking_uri

    def of(self, row: NotebookRow) -> Launch:
        """Raises Conflict, SecretLost: see `stored_spec`."""
        spec = stored_spec(row).spec
        demand, idle = spec.quantities, spec.idle_seconds
        replica = Replica(
            role="notebook",
            index=0,
            command="",
            env={**self._variables(row), **(spec.env_vars or {})},
            cpu=demand.cpu,
            memory=demand.memory,
            gpu=demand.gpu,
        )
        return Launch(
            experiment_id=row.id,
            submission_id=row.submission_id,
            name=row.name,
            framework="Notebook",
            replicas=(replica,),
            keep_work=True,
            service_url=self._settings.url,
            notebook=Notebook(
                folder=f"{row.namespace}/{row.name}",
                path=path(row.namespace, row.name),
                token=self._secrets.open(row.sealed_token),
                idle_seconds=self._settings.notebook_idle_seconds if idle is None else idle,
            ),
        )

    def _variables(self, row: NotebookRow) -> dict[str, str]:
        """What points SDKs at this service: ours, MLflow's, and Submarine's published one; and the notebook's token."""
        service = urlsplit(self._settings.url)
        token = self._tokens.issue(PrincipalKind.NOTEBOOK, row.id)
        return {
            "SUBMARINE_SERVER_DNS_NAME": service.hostname or "",
            "SUBMARINE_SERVER_PORT": str(service.port or (443 if service.scheme == "https" else 80)),
            "MLFLOW_TRACKING_URI": self._tracking_uri,
            "SUBMARINE_TOKEN": token,
            "MLFLOW_TRACKING_TOKEN": token,
        }


def listen(driver: Driver, submission_id: str) -> Said:
    """What the runner has said in a job's log so far. Raises Unreachable."""
    address, was_idle, rest = None, False, b""
    try:
        for piece in driver.read_log(submission_id):
            *lines, rest = (rest[-LONGEST_NOTICE:] + piece).split(b"\n")
            for line in lines:
                listens = _LISTENS.match(line) if address is None else None
                address = listens[1].decode() if listens else address
                was_idle = was_idle or line.startswith(_IDLE)
    except UnknownJob:
        return Said()
    return Said(address, was_idle)
