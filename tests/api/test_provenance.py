"""What an attempt ran with: told by its runner, and read with its experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from submarine_ray.experiments.tables import PackageSetRow
from submarine_ray.experiments.tidying import Tidying
from submarine_ray.spec.home import Home
from submarine_ray.spec.zips import zipped
from tests.conftest import spec

COMMIT = "3f1c0a9b2d4e5f60718293a4b5c6d7e8f9012345"
REPORT = {"python": "3.12.3", "platform": "Linux-6.8.0-x86_64", "packages": {"numpy": "2.3.4", "torch": "2.9.0"}}


@pytest.fixture
def id(api: httpx.Client) -> str:
    return str(api.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"])


def tell(api: httpx.Client, id: str, submission: str, **more: object) -> int:
    path = f"/api/v1/experiment/{id}/provenance"
    return api.post(path, params={"submission": submission}, json=REPORT | more).status_code


def read(api: httpx.Client, id: str, **query: int) -> dict[str, object]:
    answer = api.get(f"/api/v1/experiment/{id}/provenance", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["result"])


def test_an_attempt_that_told_nothing_has_nothing(api: httpx.Client, id: str) -> None:
    assert read(api, id) == {"attempt": 1, "git": None, "python": None, "platform": None, "packages": None}


def test_each_attempt_keeps_what_it_told(api: httpx.Client, id: str) -> None:
    assert tell(api, id, id, packages={"numpy": "1.0"}) == 200
    assert tell(api, id, id, commit=COMMIT) == 200, "a runner tells once more if an answer was lost"
    changed = spec(meta={"name": "test", "framework": "PyTorch", "cmd": "python other.py"})
    assert api.patch(f"/api/v1/experiment/{id}", json=changed).status_code == 200
    assert tell(api, id, f"{id}-r2", python="3.13.0") == 200
    first, second = read(api, id, attempt=1), read(api, id)
    assert first["packages"] == second["packages"] == REPORT["packages"]
    assert (first["python"], second["python"]) == ("3.12.3", "3.13.0")
    assert first["git"] == {"commit": COMMIT, "branch": None, "dirty": None, "repository": None}


def test_lists_of_packages_that_no_attempt_has_are_deleted(api: httpx.Client, id: str, tmp_path: Path) -> None:
    for number in range(3):
        assert tell(api, id, id, packages={"odd": f"{number}.0"}) == 200
    platform: Any = api.app.state.platform  # type: ignore[attr-defined]
    tidying = Tidying(platform.database, platform.packages, platform.tombstones, Home(tmp_path), lambda: None)
    tidying.sweep_package_sets()
    with platform.database.session() as session:
        kept = [said for said in session.scalars(select(PackageSetRow.packages)) if "odd" in said]
    assert kept == ['{"odd":"2.0"}']
    assert read(api, id)["packages"] == {"odd": "2.0"}


def test_a_package_has_the_commit_that_its_sender_saw(api: httpx.Client) -> None:
    package = api.put("/api/v1/package", content=zipped([("train.py", b"pass")])).json()["result"]["url"]
    source = {"commit": COMMIT, "branch": "main", "dirty": True, "repository": "https://a:b@host/code.git"}
    code = {"syncMode": "package", "url": package, "source": source}
    made = api.post("/api/v1/experiment", json=spec(code=code))
    assert made.status_code == 200, made.text
    assert "a:b@" not in made.text
    git = read(api, made.json()["result"]["experimentId"])["git"]
    assert git == source | {"repository": "https://host/code.git"}


@pytest.mark.parametrize(
    "wrong",
    [{"python": None}, {"packages": {"": "1"}}, {"packages": {"a": "1" * 200}}, {"commit": "HEAD"}, {"more": 1}],
)
def test_what_is_no_report_is_refused(api: httpx.Client, id: str, wrong: dict[str, object]) -> None:
    assert tell(api, id, id, **wrong) == 400


def test_what_is_no_attempt_is_refused(api: httpx.Client, id: str) -> None:
    assert tell(api, id, f"{id}-r2") == 404
    assert tell(api, "experiment-1-0001", "experiment-1-0001") == 404
    other = str(api.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"])
    assert tell(api, id, other) == 404
    api.delete(f"/api/v1/experiment/{id}")
    assert tell(api, id, id) == 404
