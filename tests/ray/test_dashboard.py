"""Ray's dashboard through the service: for looking, with a token that no browser sees."""

from __future__ import annotations

import httpx
import pytest

from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray


def test_the_dashboard_is_there_for_looking(platform: RunningPlatform) -> None:
    with httpx.Client(base_url=platform.url, timeout=30) as http:
        moved = http.get("/ray/local")
        assert moved.status_code == 307 and moved.headers["location"] == "/ray/local/"
        shown = http.get("/ray/local/")
        assert shown.status_code == 200 and "text/html" in shown.headers["content-type"]
        assert http.get("/ray/local/api/version").json()["ray_version"]
        assert http.post("/ray/local/api/jobs/", json={"entrypoint": "true"}).status_code == 405
        unknown = http.get("/ray/none/")
        assert unknown.status_code == 404 and "none" in unknown.json()["message"]
