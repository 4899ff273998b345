"""Images, tables and the like over HTTP: stored once, where MLflow looks for them, found by key and step, served inert."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from submarine_ray.client import media_queue
from submarine_ray.spec.spool import media
from submarine_ray.spec.spool import media_queue as queue_of
from submarine_ray.spec.spool.media import MediaHeader, MediaItem
from submarine_ray.spec.tags import SWEEP_TAG, TRIAL_TAG
from submarine_ray.tracking import leftovers
from submarine_ray.tracking import media as tracking_media
from submarine_ray.tracking.media import MediaService
from submarine_ray.tracking.service import TrackingService
from tests.conftest import spec
from tests.service import own_run


@pytest.fixture
def tracking(api: httpx.Client) -> TrackingService:
    return api.app.state.platform.tracking  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def made(api: httpx.Client, tracking: TrackingService) -> tuple[str, str]:
    """An experiment, and its run."""
    found = api.post("/api/v1/experiment", json=spec()).json()["result"]
    run = own_run(tracking, found["experimentId"]).run_id
    platform = api.app.state.platform  # type: ignore[attr-defined]
    from sqlalchemy import update

    from submarine_ray.experiments.tables import ExperimentRow

    with platform.database.session(write=True) as session:
        session.execute(update(ExperimentRow).where(ExperimentRow.id == found["experimentId"]).values(run_id=run))
    return found["experimentId"], run


def png(shade: int = 0) -> bytes:
    written = io.BytesIO()
    Image.new("L", (4, 3), shade).save(written, "png")
    return written.getvalue()


def item(
    kind: str = "image", key: str = "samples", step: int = 1, content: bytes | None = None, **more: Any
) -> MediaItem:
    content = png(step % 256) if content is None else content
    suffix = more.pop("suffix", media.SUFFIXES[kind][0])
    header = MediaHeader(
        kind, key, step, more.pop("timestamp", 1000 + step), media.new_name(), suffix, len(content), **more
    )
    return MediaItem(header, content, b"p" * header.preview)


def post(api: httpx.Client, run: str, *items: MediaItem) -> httpx.Response:
    return api.post(media.path(run), content=b"".join(one.written() for one in items))


def listed(api: httpx.Client, id: str, **query: Any) -> list[dict[str, Any]]:
    answer = api.get(f"/api/v1/experiment/{id}/media", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]  # type: ignore[no-any-return]


def test_a_batch_is_stored_once_and_found(api: httpx.Client, tracking: TrackingService, made: tuple[str, str]) -> None:
    id, run = made
    other = tracking.replica_run(run, id, "worker-1")
    sent = [item(step=step, caption=f"no {step}", preview=5, width=4, height=3) for step in (1, 2, 2)]
    for _ in range(2):  # the first answer was lost
        answer = post(api, run, *sent, item("text", "words", 2, b"abc"))
        assert answer.json()["result"] == {"items": 4}, answer.text
    assert post(api, other, item(step=2)).status_code == 200
    found = listed(api, id, kind="image", key="samples", step=2)
    assert [(one["replica"], one["caption"]) for one in found if one["caption"]] == [("worker-0", "no 2")] * 2
    assert sorted(one["replica"] for one in found) == ["worker-0", "worker-0", "worker-1"]
    keys = api.get(f"/api/v1/experiment/{id}/media/keys").json()["result"]
    assert keys == [
        {"kind": "image", "key": "samples", "count": 4, "firstStep": 1, "lastStep": 2},
        {"kind": "text", "key": "words", "count": 2, "firstStep": 2, "lastStep": 2},
    ]
    answer = api.get(f"/api/v1/experiment/{id}/media", params={"pageSize": 2, "page": 2})
    assert answer.json()["attributes"] == {"total": 6, "page": 2, "pageSize": 2}
    got = api.get(f"/api/v1/experiment/{id}/media/{sent[0].header.name}")
    assert (got.content, got.headers["content-type"]) == (sent[0].content, "image/png")
    assert got.headers["x-content-type-options"] == "nosniff" and "sandbox" in got.headers["content-security-policy"]
    assert (
        got.headers["content-disposition"] == 'inline; filename="samples-1.png"'
        and "immutable" in got.headers["cache-control"]
    )
    small = api.get(f"/api/v1/experiment/{id}/media/{sent[0].header.name}", params={"preview": "true"})
    assert (small.content, small.headers["content-type"]) == (b"ppppp", "image/webp")
    assert (
        api.get(f"/api/v1/experiment/{id}/media/{sent[0].header.name}", headers={"Range": "bytes=0-3"}).content
        == b"\x89PNG"
    )


def test_what_it_does_not_take_is_told(api: httpx.Client, made: tuple[str, str]) -> None:
    id, run = made
    cut = api.post(media.path(run), content=item().written()[:-1])
    assert cut.status_code == 400 and "'samples': its content is cut off" in cut.json()["message"]
    assert api.post(media.path(run), content=b"nonsense\n").status_code == 400
    assert api.post(media.path(uuid.uuid4().hex), content=item().written()).status_code == 404
    assert api.post(media.path("a" * 33), content=item().written()).status_code == 400
    assert api.post(media.path(run), content=b"x" * (media.MAX_BATCH_BYTES + 1)).status_code == 413
    assert listed(api, id) == []
    assert api.get("/api/v1/experiment/experiment-none-0/media").status_code == 404
    assert api.get(f"/api/v1/experiment/{id}/media/{media.new_name()}").status_code == 404


def test_no_other_experiment_has_it(api: httpx.Client, tracking: TrackingService, made: tuple[str, str]) -> None:
    id, run = made
    one = item()
    post(api, run, one)
    other = api.post("/api/v1/experiment", json=spec()).json()["result"]["experimentId"]
    assert api.get(f"/api/v1/experiment/{id}/media/{one.header.name}").status_code == 200
    assert api.get(f"/api/v1/experiment/{other}/media/{one.header.name}").status_code == 404


def test_nothing_is_sent_of_what_was_deleted(
    api: httpx.Client, tracking: TrackingService, made: tuple[str, str]
) -> None:
    id, run = made
    one = item()
    post(api, run, one)
    path = f"/api/v1/experiment/{id}/media/{one.header.name}"
    assert api.get(path).status_code == 200
    tracking.client().delete_run(run)
    assert api.get(path).status_code == 404
    tracking.client().restore_run(run)  # type: ignore[attr-defined]
    assert api.get(path).status_code == 200
    assert api.delete(f"/api/v1/experiment/{id}").status_code == 200
    assert api.get(path).status_code == 404


def test_pages_are_downloads(api: httpx.Client, made: tuple[str, str]) -> None:
    id, run = made
    page = item("figure", "plot", content=b"<script>alert(1)</script>", suffix="html")
    post(api, run, page)
    got = api.get(f"/api/v1/experiment/{id}/media/{page.header.name}")
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment")


def test_mlflow_shows_them(api: httpx.Client, tracking: TrackingService, made: tuple[str, str], tmp_path: Path) -> None:
    _, run = made
    table = json.dumps({"columns": ["a"], "data": [[1], [None]]}).encode()
    post(
        api,
        run,
        item(key="val/dogs", preview=3),
        item("table", "rows", content=table),
        item("roc_curve", "roc", content=table),
    )
    client = tracking.client()
    tags = client.get_run(run).data.tags
    assert tags["mlflow.loggedImages"] == "True"
    names = [one.path for one in tracking.list_artifacts(run, "images")]
    assert len(names) == 2 and all(name.startswith("images/val~dogs+step+1+timestamp+1001+") for name in names)
    paths = [one["path"] for one in json.loads(tags["mlflow.loggedArtifacts"])]
    assert len(paths) == 2 and all(path.startswith("tables/") for path in paths)
    with tracking.artifact(run, paths[0]) as file:
        assert pd.read_json(file, orient="split").a.tolist()[0] == 1
    for number in range(60):
        post(api, run, item("table", f"more{number}", content=table))
    assert len(client.get_run(run).data.tags["mlflow.loggedArtifacts"]) < 8000


def test_images_of_mlflow_log_image_are_found(
    api: httpx.Client, tracking: TrackingService, made: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, run = made
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/other.db")  # of files on this disk
    there = client.create_run(client.create_experiment("e", artifact_location=str(tmp_path / "files"))).info
    post(api, run, item(preview=3))
    assert len(listed(api, id)) == 1
    monkeypatch.setattr(tracking_media, "_ADOPT_SECONDS", 0.0)
    for step in (3, 4):
        client.log_image(there.run_id, np.zeros((300, 8, 3), np.uint8), key="val/cats", step=step)
    client.log_artifact(there.run_id, __file__, "images")
    tracking.put_directory(run, Path(there.artifact_uri))
    found = listed(api, id, key="val/cats")
    assert [(one["step"], one["hasPreview"], one["replica"]) for one in found] == [
        (3, True, "worker-0"),
        (4, True, "worker-0"),
    ]
    got = api.get(f"/api/v1/experiment/{id}/media/{found[0]['name']}")
    assert Image.open(io.BytesIO(got.content)).size == (8, 300)
    assert len(listed(api, id)) == 3


def test_trials_have_their_own(api: httpx.Client, tracking: TrackingService, made: tuple[str, str]) -> None:
    id, run = made
    of_trial = {SWEEP_TAG: id, TRIAL_TAG: "t1", "mlflow.parentRunId": run}
    trial = tracking.client().create_run(
        tracking.client().get_run(run).info.experiment_id, run_name="t1", tags=of_trial
    )
    one = item()
    post(api, trial.info.run_id, one)
    assert [found["name"] for found in listed(api, id, trial="t1")] == [one.header.name]
    assert listed(api, id) == []
    assert api.get(f"/api/v1/experiment/{id}/media/{one.header.name}").status_code == 200


def test_pages_hear_of_new_ones(api: httpx.Client, tracking: TrackingService, made: tuple[str, str]) -> None:
    _, run = made
    before = tracking.marks([run])
    post(api, run, item())
    assert tracking.marks([run]) != before


def test_histograms_need_no_look_at_the_artifacts(
    api: httpx.Client, tracking: TrackingService, made: tuple[str, str]
) -> None:
    _, run = made
    post(api, run, *(item("histogram", "w", step, b'{"edges":[0,1],"counts":[%d]}' % step) for step in range(5)))
    found = MediaService(tracking).histograms({run: "worker-0"}, "w", [1, 3])
    assert [(one.step, json.loads(text)["counts"]) for one, text in found] == [(1, [1]), (3, [3])]


def test_what_a_replica_left_is_stored(
    api: httpx.Client, tracking: TrackingService, made: tuple[str, str], tmp_path: Path
) -> None:
    id, run = made
    spools = {name: tmp_path / name / ".metrics.jsonl" for name in ("worker-0", "worker-1")}
    for name, spool in spools.items():
        spool.parent.mkdir()
        media_queue.put(queue_of(spool), item(key=name))
    (queue_of(spools["worker-0"]) / "1-odd.item").write_bytes(b"nonsense")
    (queue_of(spools["worker-0"]) / "2-link.item").symlink_to("/etc/passwd")
    (queue_of(spools["worker-0"]) / "3-cut.part").write_bytes(b"")
    for _ in range(2):  # again, because the service died before it noted that it had
        told = leftovers.load(tracking, run, id, spools)
        assert [(left.replica, left.items, left.refused) for left in told] == [("worker-0", 1, 1), ("worker-1", 1, 0)]
    assert [(one["replica"], one["key"]) for one in listed(api, id)] == [
        ("worker-0", "worker-0"),
        ("worker-1", "worker-1"),
    ]
