"""What happened, as users read it: what comes again while the state stays is one event with a number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from submarine_ray.core import events
from submarine_ray.core.database import Database
from submarine_ray.core.events import Event
from submarine_ray.core.follower import OVERLAP, Follower

SUBJECT = "experiment-1-0001"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    yield made
    made.close()


def say(database: Database, *happened: Event) -> None:
    for event in happened:  # each in a transaction of its own, as they come
        with database.session(write=True) as session:
            events.record(session, SUBJECT, [event])


def told(database: Database) -> list[tuple[str, int]]:
    with database.session() as session:
        return [(event.reason, event.count) for event in events.history(session, SUBJECT)]


CRASH = Event("CrashLoop", "It ends again and again (status 1).", recurs=True)
RESOLVED = Event("Resolved", "It has passed.", recurs=True)


def test_what_comes_by_turns_is_two_events_and_the_last_stands_last(database: Database) -> None:
    say(database, Event("Submitted", "It was submitted.", "Accepted", "Created"))
    say(database, *[CRASH, RESOLVED] * 5, Event("CrashLoop", "It ends again and again (status 2).", recurs=True))
    assert told(database) == [("Submitted", 1), ("Resolved", 5), ("CrashLoop", 6)]
    with database.session() as session:
        crash = events.history(session, SUBJECT)[-1]
    assert (
        crash.time
        and crash.last_time
        and crash.time <= crash.last_time
        and (crash.message or "").endswith("(status 2).")
    )


def test_each_attempt_and_each_cause_has_events_of_its_own(database: Database) -> None:
    other = Event("CrashLoop", "Something else ends.", recurs=True)
    say(database, CRASH, other, CRASH, Event("lost", "Attempt 2 begins.", "Created", "Accepted"), CRASH)
    assert told(database) == [("CrashLoop", 1), ("CrashLoop", 2), ("lost", 1), ("CrashLoop", 1)]


def test_what_users_do_is_never_put_together(database: Database) -> None:
    say(database, *[Event("Scaled", "Scaled to 2.", "RUNNING", "RUNNING")] * 2)
    assert told(database) == [("Scaled", 1), ("Scaled", 1)]


def test_pages_hear_of_each_time(database: Database) -> None:
    say(database, CRASH)
    heard: list[frozenset[str] | None] = []
    follower = Follower(database)
    follower.add(heard.append)
    follower.tick()
    say(database, CRASH)
    follower.tick()
    follower.tick()
    assert heard == [{SUBJECT}]


def test_they_hear_of_an_event_that_has_the_id_of_a_deleted_one(database: Database) -> None:
    heard: list[frozenset[str] | None] = []
    follower = Follower(database)
    follower.add(heard.append)
    say(database, CRASH)
    follower.tick()
    with database.session(write=True) as session:
        events.forget(session, SUBJECT)
        events.record(session, "experiment-2", [CRASH])
    follower.tick()
    assert heard == [{"experiment-2"}]


def test_of_many_at_once_everybody_hears(database: Database) -> None:
    heard: list[frozenset[str] | None] = []
    follower = Follower(database)
    follower.add(heard.append)
    for number in range(2):
        with database.session(write=True) as session:
            for one in range(OVERLAP + 1):
                events.record(session, f"experiment-{number}-{one}", [RESOLVED])
        follower.tick()
    assert heard == [None]


def test_a_url_that_signs_in_is_told_without_its_password_and_counted(database: Database) -> None:
    pull = Event("PullFailed", "https://me:c4nary@host/x does not answer (try 1).", recurs=True)
    say(database, pull, pull, pull)
    assert told(database) == [("PullFailed", 3)]
    with database.session() as session:
        assert "https://me:**********@host/x" in (events.history(session, SUBJECT)[0].message or "")
