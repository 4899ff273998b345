"""Several control services decide about one cluster at the same moment, on SQLite and on MariaDB."""

from __future__ import annotations

import threading
import time

import pytest

from submarine_ray.core.database import Database
from tests.unit.test_admission_service import FOUR, World

pytestmark = pytest.mark.db


def test_no_room_is_given_away_twice(database: Database) -> None:
    """Four services, each with two experiments of its own; all the time some end and others ask."""
    world = World(database)
    asked = [[world.ask(f"e-{service}-{n}", 1.5) for n in range(2)] for service in range(4)]
    services = [world.service() for _ in asked]
    started: list[str] = []
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            waits = {one.id: one for one in asked[number]}
            until = time.monotonic() + 60  # the others come first as often as they are faster
            while time.monotonic() < until:
                for id in services[number].admit("local", list(waits.values())):
                    world.becomes(id, status="Running")
                    started.append(id)
                    assert services[number].in_use("local").fits(FOUR)
                    world.becomes(id, status="Succeeded")
                    del waits[id]
                if not waits:
                    return
        except BaseException as failure:
            failed.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and sorted(started) == sorted(one.id for each in asked for one in each)
