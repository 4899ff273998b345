"""Moves passwords of git repositories into the sealed specs; earlier versions kept them in a column beside these."""

from __future__ import annotations

import json

import structlog

from submarine_ray.core.database import Database
from submarine_ray.core.errors import SecretLost
from submarine_ray.core.sealed import Kept
from submarine_ray.core.secrets import SecretBox
from submarine_ray.experiments import repository
from submarine_ray.experiments.tables import ExperimentRow

log = structlog.get_logger(__name__)
BATCH = 500


def bring_in(database: Database, secrets: SecretBox) -> None:
    """Move the passwords into their specs; what was sealed with a lost key stays as it is."""
    last = ""
    while True:
        with database.session(write=True) as session:
            rows = repository.with_password(session, last, BATCH)
            for row in rows:
                try:
                    _bring_in(row, secrets)
                except SecretLost as failure:
                    log.warning("experiment.password_lost", experiment=row.id, why=str(failure))
        if len(rows) < BATCH:
            return
        last = rows[-1].id


def _bring_in(row: ExperimentRow, secrets: SecretBox) -> None:
    document = json.loads(row.spec.text)
    document["code"]["git"]["password"] = secrets.open(row.sealed_password or "")
    row.spec, row.sealed_password = Kept(json.dumps(document)), None
