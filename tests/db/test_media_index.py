"""The index of images, tables and the like on a real MariaDB."""

from __future__ import annotations

import threading

import pytest

from submarine_ray.spec.answers.media import Wanted
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool.media import MediaHeader
from submarine_ray.spec.tags import EXPERIMENT_TAG
from submarine_ray.tracking.media_index import Entry, MediaIndex
from tests.conftest import MariaDb
from tests.unit.test_points import Two

pytestmark = pytest.mark.db


def entry(key: str, step: int, caption: str = "", content: str | None = None) -> Entry:
    header = MediaHeader("text", key, step, 1, media.new_name(), "txt", 3, caption)
    return Entry(header, content)


def test_items_are_added_once_and_found_as_on_sqlite(mariadb: MariaDb) -> None:
    two = Two(mariadb.database("mlflow_media"))
    run = two.run()
    two.client.set_tag(run, EXPERIMENT_TAG, "experiment-1")
    index = MediaIndex(two.database)
    for _ in range(2):
        index.prepare()
    found = [entry("a", step, "Größe 🦀", "🦀" * 4000) for step in range(1200)] + [entry("A", 2**62)]
    senders = [threading.Thread(target=index.add, args=(run, found)) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert index.counts([run]) == {run: 1201}
    assert [(one.key, one.count, one.last_step) for one in index.groups([run])] == [
        ("A", 1, 2**62),
        ("a", 1200, 1199),
    ]
    items, total = index.items({run: "worker-0"}, Wanted("text", "a", 7), 10)
    assert (items[0].caption, items[0].replica) == ("Größe 🦀", "worker-0") and total >= 1
    assert index.contents({run: "worker-0"}, "text", "a", [7])[0][1] == "🦀" * 4000
    assert index.place(found[0].header.name)[0].experiment_id == "experiment-1"
    assert index.steps([run], "text", "A") == [2**62]
