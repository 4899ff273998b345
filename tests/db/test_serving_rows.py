"""What users change of a cluster's endpoints while a control service writes what it sees, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest

from submarine_ray.core import leases
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.errors import AlreadyExists
from submarine_ray.core.leases import Lessee
from submarine_ray.serving import repository
from submarine_ray.serving.repository import Noted
from submarine_ray.serving.tables import EndpointRow, ServingRow
from submarine_ray.spec.quantities import Resources

pytestmark = pytest.mark.db
VERSIONS = range(1, 9)


def change(database: Database, version: int) -> None:
    """A user's three changes of one endpoint; those of the others come at the same moment, the first of all too."""
    row = EndpointRow(
        name=f"m-{version}", model_name="m", model_version=version, model_uri="/m", cluster="a", replicas=1, cpu=0.5,
        memory=0, gpu=0, status="Creating", created_ms=0, changed_ms=0,
    )  # fmt: skip
    with suppress(AlreadyExists), database.session(write=True) as session:
        repository.begin(session, "a")
    with database.session(write=True) as session:
        repository.add(session, row)
    with database.session(write=True) as session:
        repository.change(session, session.get_one(EndpointRow, row.name), 2, Resources(0.5))
    with database.session(write=True) as session:
        repository.set_deleting(session, session.get_one(EndpointRow, row.name))


def note(database: Database, name: str, is_over: Event) -> None:
    """Claim the cluster and write a status of all its endpoints, again and again, while users change them."""
    while not is_over.is_set():
        note_once(database, name)


def note_once(database: Database, name: str) -> int:
    """How many looks were written: none if another service holds the cluster, or a user changed an endpoint."""
    written = 0
    with database.session(write=True) as session:
        rows = leases.claim(session, ServingRow, Lessee(name, 30_000), 1)
    for row in rows:
        with database.session() as session:
            there = [one for one in repository.on_cluster(session, "a") if one.status != "Deleting"]
        seen = [(one, "Running", None) for one in there]
        with database.session(write=True) as session:
            written += repository.write(session, row, Noted({"next_check_ms": due_ms()}, endpoints=seen))
    return written


def test_each_change_counts_and_nobody_waits_in_a_ring(database: Database) -> None:
    is_over = Event()
    with ThreadPoolExecutor(16) as pool:
        services = [pool.submit(note, database, name, is_over) for name in ("one", "other")]
        try:
            list(pool.map(lambda version: change(database, version), VERSIONS))  # raises what a user would be told
        finally:
            is_over.set()
    for service in services:
        service.result()
    # Users may have changed something during each of those looks. After their last change a look is written at once.
    assert note_once(database, "one") == 1
    with database.session() as session:
        assert session.get_one(ServingRow, "a").generation == 1 + 3 * len(VERSIONS)
        assert {row.status for row in repository.on_cluster(session, "a")} == {"Deleting"}
