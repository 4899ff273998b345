"""Sign-ins on SQLite and MariaDB: found, ended, swept; a link is used up once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from submarine_ray.access import sessions as sessions_module
from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.sessions import Sessions
from submarine_ray.core.database import Database
from submarine_ray.core.settings import Settings
from tests.conftest import TOKEN, run

pytestmark = pytest.mark.db
KEY = b"of this test"
SOMEBODY = Principal(PrincipalKind.ADMINISTRATOR, "token")


def test_a_sign_in_is_found_by_every_service_and_ends_for_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "KNOWN_SECONDS", -1.0)
    one, other = (Sessions(database, Settings(token=TOKEN), KEY) for _ in range(2))  # type: ignore[arg-type]
    secret = one.begin(SOMEBODY, "2001:db8::1")
    found = run(other.find(["of-somebody-else", secret]))
    assert found is not None and found.principal == SOMEBODY
    now = sessions_module.now_ms()
    monkeypatch.setattr(sessions_module, "now_ms", lambda: now + 120_000)
    assert run(other.find([secret])) == found
    (listed,) = one.list_all()
    assert listed.used_time > listed.created_time and listed.address == "2001:db8::1"
    other.end(found.id)
    assert run(one.find([secret])) is None and one.list_all() == []


def test_of_two_who_use_a_link_at_once_one_gets_in(database: Database) -> None:
    sessions = Sessions(database, Settings(token=TOKEN), KEY)  # type: ignore[arg-type]
    for _ in range(5):
        secret, _ = sessions.link()
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(sessions.take_link, [secret] * 8))
        assert sum(one is not None for one in taken) == 1
