"""Environments over REST: as documented, and at their edges."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import spec

URL = "/api/v1/environment"
KERNEL = {
    "name": "team_default_python_3.7",
    "channels": ["defaults"],
    "condaDependencies": ["alabaster=0.7.12=py37_0"],
    "pipDependencies": ["apache-submarine==0.7.0", "pyarrow==0.17.0"],
}


def environment(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "dockerImage": "continuumio/anaconda3", "kernelSpec": KERNEL, **changes}


def test_create_get_list_patch_delete_as_documented(api: httpx.Client) -> None:
    created = api.post(URL, json=environment("my-submarine-env")).json()
    assert created["status"] == "OK" and created["result"]["environmentId"].startswith("environment_")
    stored = {"name": "my-submarine-env", "dockerImage": "continuumio/anaconda3", "kernelSpec": KERNEL,
              "description": None, "image": None}  # fmt: skip
    assert created["result"]["environmentSpec"] == stored
    assert api.get(f"{URL}/my-submarine-env").json()["result"] == created["result"]
    assert created["result"] in api.get(URL).json()["result"]
    changes = {"name": "my-submarine-env", "kernelSpec": {"name": "updated", "pipDependencies": []}, "description": "d"}
    patched = api.patch(f"{URL}/my-submarine-env", json=changes).json()["result"]["environmentSpec"]
    kernel = {**KERNEL, "name": "updated", "pipDependencies": []}
    assert patched == {**stored, "kernelSpec": kernel, "description": "d"}  # what was not named stayed
    assert api.delete(f"{URL}/my-submarine-env").json()["result"]["environmentSpec"] == patched
    assert api.get(f"{URL}/my-submarine-env").status_code == 404
    assert api.delete(f"{URL}/my-submarine-env").status_code == 404


def test_the_service_starts_with_submarines_environments(api: httpx.Client) -> None:
    found = {e["environmentSpec"]["name"]: e["environmentSpec"] for e in api.get(URL).json()["result"]}
    for name in ("notebook-env", "notebook-gpu-env"):
        assert found[name]["kernelSpec"]["name"] == "submarine_jupyter_py3"
        assert found[name]["dockerImage"] is None  # Submarine's own image has no Ray: no pod of it would start


def test_of_many_creates_at_once_one_wins(api: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: api.post(URL, json=environment("contested")).status_code, range(8)))
    assert sorted(codes) == [200] + [409] * 7
    api.delete(f"{URL}/contested")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"dockerImage": "x"}, "name: is required"),
        (environment("a/b"), "cannot be the name of an environment"),
        (environment("../x"), "cannot be the name"),
        (environment("x" * 1000), "1 to 128"),
        (environment("na'me"), "cannot be the name"),
        (environment("ok", kernelSpec={"pipDependencies": ["--index-url=x"]}), "kernelSpec.pipDependencies"),
        (environment("ok", colour=1), "colour: is not a known field"),
    ],
)  # fmt: skip
def test_bad_environments_are_refused(api: httpx.Client, body: Any, said: str) -> None:
    answer = api.post(URL, json=body)
    assert answer.status_code == 400 and said in answer.json()["message"]


def test_a_rename_and_an_unknown_one_are_refused(api: httpx.Client) -> None:
    assert api.patch(f"{URL}/notebook-env", json={"name": "other"}).status_code == 400
    assert api.patch(f"{URL}/nowhere", json={"description": "d"}).status_code == 404
    assert api.get(f"{URL}/'; DROP TABLE environment; --").status_code == 404


def test_pages_hold_everything_once(api: httpx.Client) -> None:
    for number in range(7):
        api.post(URL, json=environment(f"page-{number}", kernelSpec=None))
    whole = [e["environmentSpec"]["name"] for e in api.get(URL).json()["result"]]
    seen, cursor = [], ""
    while cursor is not None:
        answer = api.get(URL, params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [e["environmentSpec"]["name"] for e in answer["result"]]
        cursor = answer["attributes"]["nextCursor"]
    assert seen == whole
    assert api.get(URL, params={"limit": 3, "cursor": "nonsense"}).status_code == 400
    for number in range(7):
        api.delete(f"{URL}/page-{number}")


def test_an_experiment_keeps_what_its_environment_meant(api: httpx.Client) -> None:
    api.post(URL, json=environment("kept", kernelSpec={"pipDependencies": ["sniffio==1.3.1"]}))
    created = api.post("/api/v1/experiment", json=spec(environment={"name": "kept"})).json()["result"]
    assert created["spec"]["environment"]["name"] == "kept"
    api.delete(f"{URL}/kept")
    platform = api.app.state.platform  # type: ignore[attr-defined]
    from submarine_ray.experiments.answers import stored_environment
    from submarine_ray.experiments.tables import ExperimentRow

    with platform.database.session() as session:
        meant = stored_environment(session.get(ExperimentRow, created["experimentId"]))
    assert meant and meant.kernel_spec and meant.kernel_spec.pip_dependencies == ["sniffio==1.3.1"]
    events = api.get(f"/api/v1/experiment/{created['experimentId']}/events").json()["result"]
    assert "continuumio/anaconda3" in next(e["message"] for e in events if e["reason"] == "ImageIgnored")


def test_conda_packages_are_refused_where_there_is_no_conda(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = api.post("/api/v1/experiment", json=spec(environment={"kernelSpec": {"condaDependencies": ["numpy"]}}))
    assert answer.status_code == 400
    assert "environment.kernelSpec.condaDependencies: cluster 'local' has no conda" in answer.json()["message"]


@pytest.mark.parametrize(
    ("package", "fits"),
    [
        ("pandas==2.2.3", True),
        ("torch[extra]>=2,<3; python_version>'3.9'", True),
        ("git+https://host/team/project.git@main", True),
        ("project @ https://host/project.whl", True),
        ("./wheels/project-1.0-py3-none-any.whl", True),
        ("numpy # for arrays", True),
        ("numpy=2.2", False),
        ("numpy 2.2", False),
        ("two packages", False),
        ("-r requirements.txt", False),
        ("", False),
    ],
)
def test_packages_are_read_as_requirements_before_they_are_stored(api: httpx.Client, package: str, fits: bool) -> None:
    kernel = {"pipDependencies": ["scipy", package]}
    made = api.post(URL, json={"name": "parsed", "kernelSpec": kernel})
    if fits:
        assert made.status_code == 200, made.text
        assert made.json()["result"]["environmentSpec"]["kernelSpec"]["pipDependencies"] == ["scipy", package]
        changed = api.patch(f"{URL}/parsed", json={"kernelSpec": {"pipDependencies": ["numpy=2.2"]}})
        assert changed.status_code == 400 and "'numpy=2.2' is not a package requirement" in changed.json()["message"]
        api.delete(f"{URL}/parsed")
    else:
        assert made.status_code == 400 and f"{package!r} is not a package requirement" in made.json()["message"]
