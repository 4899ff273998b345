"""Searches and notices on SQLite and on a real MariaDB."""

from __future__ import annotations

from itertools import count

import pytest

from submarine_ray.access.acting import act_for
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.core import events
from submarine_ray.core.database import Database
from submarine_ray.core.events import Event
from submarine_ray.experiments import repository, words
from submarine_ray.notices.service import NoticeService
from submarine_ray.search.repository import Thing, opened, recent, star, starred
from submarine_ray.spec.places import ObjectKind
from tests.db.test_repository import row

pytestmark = pytest.mark.db


def names(database: Database, text: str, limit: int = 9) -> list[str]:
    with database.session() as session:
        return [found.name for found in repository.search(session, text, limit)]


def test_experiments_are_found_by_parts_of_their_words(database: Database) -> None:
    numbers = count(1)
    for name, tags in (("resnet-cifar-lr01", []), ("vit-Cifar_10", ["Team A"]), ("cifar", []), ("Größe-ß", ["x"])):
        made = row(f"experiment-{next(numbers)}", name=name, accepted_ms=next(numbers))
        with database.session(write=True) as session:
            repository.add(session, made, [], tags)
    assert names(database, "CIFAR") == ["cifar", "vit-Cifar_10", "resnet-cifar-lr01"]
    assert names(database, "ifa") == ["cifar", "vit-Cifar_10", "resnet-cifar-lr01"]
    assert names(database, "if") == [] and names(database, "ci", 1) == ["cifar"]
    assert names(database, "team cif") == ["vit-Cifar_10"] and names(database, "größe") == ["Größe-ß"]
    assert names(database, "esne r01") == ["resnet-cifar-lr01"] and names(database, "resnet vit") == []
    assert names(database, "experiment-") == ["Größe-ß", "cifar", "vit-Cifar_10", "resnet-cifar-lr01"]
    with database.session(write=True) as session:
        words.put(session, "experiment-1", 2, "renamed", [])
    assert names(database, "resnet") == []


def test_a_user_keeps_what_they_opened_and_marked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submarine_ray.search.repository.KEPT", 3)
    things = [Thing(ObjectKind.MODEL, f"m-{number}") for number in range(6)]
    with database.session(write=True) as session:
        star(session, "ann", things[0], 1)
        for at, thing in enumerate(things, 10):
            opened(session, "ann", thing, at)
        opened(session, "Ann", things[1], 99)
    with database.session() as session:
        assert recent(session, "ann", 9) == [things[5], things[4], things[3]]
        assert starred(session, "ann") == [things[0]] and starred(session, "Ann") == []


def test_notices_are_written_with_their_event(database: Database) -> None:
    notices = NoticeService(database, lambda _keys: {})
    act_for(Principal(PrincipalKind.ADMINISTRATOR, "token"))
    try:
        for _ in range(2):  # whoever starts it again follows it once
            with database.session(write=True) as session:
                events.record(session, "endpoint:m-1", [Event("Asked", "", None, "Creating")])
        for before, after in (("Creating", "Failed"), ("Failed", "Running"), ("Creating", "Running")):
            with database.session(write=True) as session:
                events.record(session, "endpoint:m-1", [Event(after, "why", before, after)])
        found, read = notices.list()
        assert [one.status for one in found] == ["Running", "Failed"] and read.unread == 2
        notices.mark_read(found[0].id)
        assert notices.unread("administrator") == 1
        notices.prune()
        assert len(notices.list()[0]) == 2
    finally:
        act_for(None)
