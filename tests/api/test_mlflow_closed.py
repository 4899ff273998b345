"""What of MLflow is served, and where its files may lie. A new version of MLflow must open nothing unseen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from submarine_ray.tracking import served
from submarine_ray.tracking.locations import is_inside

API = "/mlflow/api/2.0/mlflow"
# Each family of routes that MLflow 3.17 has and that answers 404 here. A route of a family that is neither here nor in
# served.FAMILIES is new: decide on it, and write it down in one of the two.
CLOSED_FAMILIES = {
    "assistant", "demo", "gateway", "gateway-proxy", "genai", "jobs", "mcp-servers", "prompt-optimization", "scorer",
    "ui-telemetry", "webhooks", "workspaces",
}  # fmt: skip
CLOSED_PLACES = {"gateway", "build"}
SERVED_PAGES = {"", "health", "version", "graphql", "get-artifact", "model-versions/get-artifact", "v1/traces"}


def routes(api: httpx.Client) -> set[str]:
    """All paths of MLflow's two servers, without the prefix, with `x` in place of what varies."""
    api.get("/mlflow/health")  # it is loaded by now
    from mlflow.server import app as flask
    from mlflow.server.fastapi_app import app as fastapi

    found = {rule.rule for rule in flask.url_map.iter_rules()}
    for route in fastapi.routes:
        router = getattr(route, "original_router", None)
        if router is None:
            assert getattr(route, "path", None) == "", route  # the mount of Flask
        else:
            found |= {f"{route.include_context.prefix}{one.path}" for one in router.routes}  # type: ignore[union-attr]
    assert len(found) > 250
    return {re.sub(r"<[^>]*>|\{[^}]*\}", "x", path).removeprefix("/mlflow") for path in found}


def test_each_route_of_mlflow_is_decided_on(api: httpx.Client) -> None:
    open_families, closed_families, undecided = set(), set(), set()
    for path in routes(api):
        is_open, place = served.is_served(path), path.removeprefix("/")
        found = re.fullmatch(r"/(?:ajax-)?api/[23]\.0/mlflow/([^/]+)(?:/(.*))?", path)
        if found:
            family = found[1]
            within = f"{family}/{found[2]}"
            assert is_open == (family in served.FAMILIES and within not in served.CLOSED), path
            (open_families if family in served.FAMILIES else closed_families).add(family)
            if family not in served.FAMILIES and family not in CLOSED_FAMILIES:
                undecided.add(path)
        elif place in SERVED_PAGES or place.startswith(
            ("static-files/", "api/2.0/mlflow-artifacts/", "ajax-api/2.0/mlflow-artifacts/")
        ):
            assert is_open, path
        else:  # jobs, and a path that MLflow itself misspells
            assert not is_open, path
            if place.split("/")[0] not in CLOSED_PLACES and not re.match(
                r"ajax-api/3\.0/jobs/|(ajax-)?api/2\.0mlflow/", place
            ):
                undecided.add(path)
    assert undecided == set()
    assert open_families == served.FAMILIES and closed_families == CLOSED_FAMILIES  # nothing that is long gone


@pytest.mark.parametrize(
    "path",
    [
        "/gateway/openai/v1/chat/completions", "/ajax-api/3.0/mlflow/gateway/secrets/list",
        "/api/3.0/mlflow/gateway/secrets/list", "/ajax-api/3.0/jobs/", "/ajax-api/3.0/mlflow/jobs/x",
        "/ajax-api/3.0/mlflow/assistant/config", "/ajax-api/2.0/mlflow/gateway-proxy", "/api/2.0/mlflow/webhooks",
        "/ajax-api/3.0/mlflow/issues/invoke", "/ajax-api/3.0/mlflow/issues//invoke", "/ajax-api/3.0/mlflow/issues/invoke/",
        "//ajax-api/3.0/mlflow/gateway/secrets/list", "/ajax-api//3.0/mlflow/gateway/secrets/list",
        "/ajax-api/3.0/mlflow//gateway/secrets/list", "/ajax-api/3.0/mlflow/gateway%2fsecrets%2flist",
        "/ajax-api/3.0/mlflow%2Fgateway/secrets/list", "/ajax-api/3.0/mlflow/%67ateway/secrets/list",
        "/ajax-api/3.0/mlflow/GATEWAY/secrets/list", "/AJAX-API/3.0/mlflow/gateway/secrets/list",
        "/ajax-api/3.0/mlflow/runs/../gateway/secrets/list", "/ajax-api/3.0/mlflow/runs/%2e%2e/gateway/secrets/list",
        "/ajax-api/3.0/mlflow/gateway/secrets/list/", "/ajax-api/3.0/mlflow/gateway;x/secrets/list",
        "/static-files/../gateway/mlflow/v1/models", "/nothing-of-todays",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_closed_stays_closed_however_it_is_written(api: httpx.Client, method: str, path: str) -> None:
    # Above the HTTP client, which would tidy the path up before it sends it.
    answer = api.request(method, httpx.URL(str(api.base_url).rstrip("/"), raw_path=f"/mlflow{path}".encode()))
    assert answer.status_code == 404, (path, answer.text)


OUTSIDE = [
    "/etc", "file:///etc", "file://localhost/etc", "file://other/etc", "file:/etc", "s3://bucket/x", "http://127.0.0.1:1/x",
    "ftp://host/x", "mlflow-artifacts://host/x", "mlflow-artifacts:/../../etc", "mlflow-artifacts:/x/..%2f..%2f..",
    "mlflow-artifacts:/x/%252e%252e/%252e%252e/y", "etc", "../etc", "dbfs:/x", "{root}/../x", "{root}-beside/x",
    "file://{root}/%2e%2e/x", "{root}/out",
]  # fmt: skip


@pytest.fixture
def root(api: httpx.Client) -> Path:
    found = Path(api.app.state.platform.settings.artifacts)  # type: ignore[attr-defined]
    found.mkdir(parents=True, exist_ok=True)
    if not (found / "out").is_symlink():
        (found / "out").symlink_to("/etc")
    return found


@pytest.mark.parametrize("place", OUTSIDE)
def test_artifacts_lie_nowhere_but_below_the_root(api: httpx.Client, root: Path, place: str) -> None:
    place = place.replace("{root}", str(root))
    body: dict[str, Any] = {"name": f"outside {quote(place)}", "artifact_location": place}
    refused = api.post(f"{API}/experiments/create", json=body)
    assert refused.status_code == 400, refused.text
    api.post(f"{API}/registered-models/create", json={"name": "outside"})
    refused = api.post(f"{API}/model-versions/create", json={"name": "outside", "source": place})
    assert refused.status_code == 400, refused.text


def test_artifacts_below_the_root_are_taken(api: httpx.Client, root: Path) -> None:
    for name, place in {"proxied": "mlflow-artifacts:/some where/100%", "own": f"{root}/own", "none": ""}.items():
        made = api.post(f"{API}/experiments/create", json={"name": f"inside {name}", "artifact_location": place})
        assert made.status_code == 200, made.text
    assert is_inside("s3://bucket/root/x", "s3://bucket/root") and not is_inside(
        "s3://bucket/rootx", "s3://bucket/root"
    )
    assert not is_inside("s3://bucket/root/../x", "s3://bucket/root") and not is_inside("/x", "s3://bucket/root")


def test_what_lies_outside_already_is_not_read(api: httpx.Client) -> None:
    """As an experiment of an earlier version, or a trace whose tag says so."""
    from mlflow.server import handlers

    store = handlers._get_tracking_store()
    experiment = store.create_experiment("made before", artifact_location="/etc")
    run = api.post(f"{API}/runs/create", json={"experiment_id": experiment}).json()["run"]["info"]["run_id"]
    listed = api.get(f"{API}/artifacts/list", params={"run_id": run})
    assert (
        listed.status_code == 400
        and "'/etc/" in listed.text
        and "outside of this service's artifact root" in listed.text
    )
    read = api.get("/mlflow/get-artifact", params={"run_id": run, "path": "passwd"})
    assert read.status_code == 400 and "root:" not in read.text
    ours = api.get(f"/api/v1/experiment/artifacts/{run}")
    assert ours.status_code in (400, 404)
