"""`log_metric` and what brings its records to MLflow, against a server that says what MLflow says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from submarine_ray.client import tracking
from submarine_ray.client.shipper import Shipper
from submarine_ray.client.spool import Run, Spool
from tests.conftest import wait_until


class Mlflow(ThreadingHTTPServer):
    """Keeps what is posted; refuses batches that hold a key named `bad`, answers 503 while `away`, 404 if `gone`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.metrics: list[dict[str, Any]] = []
        self.params: list[dict[str, Any]] = []
        self.away = False
        self.gone = False
        self.page = b""  # instead of JSON: a proxy's
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mlflow"


class _Handler(BaseHTTPRequestHandler):
    server: Mlflow

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        records = body.get("metrics", []) + body.get("params", [])
        status = 503 if self.server.away else 400 if any(r["key"] == "bad" for r in records) else 200
        status = 404 if self.server.gone else status
        self.server.requests += 1
        if status == 200 and not self.server.page:
            self.server.metrics += body.get("metrics", [])
            self.server.params += body.get("params", [])
        self.send_response(status)
        answer = self.server.page or b"{}"
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def mlflow() -> Iterator[Mlflow]:
    with Mlflow() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(server: Mlflow) -> Run:
    return Run(server.url, "r", "0", "e", "worker-0", True)


def test_a_refused_record_takes_no_other_with_it(mlflow: Mlflow, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for i in range(50):
        spool.metric("bad" if i == 17 else "loss", i, i)
    spool.param("bad", "1")
    spool.param("good", "2")
    warnings: list[str] = []
    assert not Shipper(tmp_path / "spool", run(mlflow), warnings.append).start().close()
    assert [m["step"] for m in mlflow.metrics] == [i for i in range(50) if i != 17]
    assert mlflow.params == [{"key": "good", "value": "2"}]
    assert warnings == [
        "[submarine] not stored: parameter 'bad' = '1': HTTP 400: {}",
        "[submarine] not stored: metric 'bad' = 17.0 at step 17: HTTP 400: {}",
    ]


def test_a_damaged_record_takes_no_other_with_it(mlflow: Mlflow, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.metric("loss", 1.0, 1)
    with (tmp_path / "spool").open("ab") as file:
        file.write(b'["loss", 2.0,\n["loss", 3.0, 99999999999999999999, 5]\n')
    spool.metric("loss", 4.0, 4)
    warnings: list[str] = []
    assert not Shipper(tmp_path / "spool", run(mlflow), warnings.append).start().close()
    assert [m["step"] for m in mlflow.metrics] == [1, 4]
    assert len(warnings) == 2 and "beyond 64 bits" in warnings[1], warnings


def test_what_a_full_disk_tears_is_said_and_takes_no_other_with_it(
    mlflow: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, write = Spool(tmp_path / "spool"), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(OSError, match=r"metric 'loss' = 1.0 at step 1 was not logged: the disk is full"):
        spool.metric("loss", 1.0, 1)
    monkeypatch.undo()
    spool.metric("loss", 2.0, 2)
    assert not Shipper(tmp_path / "spool", run(mlflow)).start().close()
    assert [m["step"] for m in mlflow.metrics] == [2]


def test_many_refusals_are_counted_and_a_run_that_is_gone_is_not_asked_for_each(mlflow: Mlflow, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for i in range(50):
        spool.metric("bad", i, i)
    warnings: list[str] = []
    Shipper(tmp_path / "spool", run(mlflow), warnings.append).start().close()
    assert len(warnings) == 21 and warnings[-1] == "[submarine] not stored: 30 more records"
    mlflow.gone, mlflow.requests = True, 0
    warnings.clear()
    assert not Shipper(tmp_path / "spool", run(mlflow), warnings.append).start().close()
    assert mlflow.requests == 1
    assert warnings == ["[submarine] not stored: what this replica logs: HTTP 404: {}"]


def test_a_server_that_is_away_is_waited_for(mlflow: Mlflow, tmp_path: Path) -> None:
    mlflow.away = True
    spool = Spool(tmp_path / "spool")
    spool.metric("loss", 1.0, 1)
    shipper = Shipper(tmp_path / "spool", run(mlflow)).start()
    assert not shipper.close(0.3)
    mlflow.away = False
    wait_until(lambda: mlflow.metrics, 10, "the metric arrives")


def test_a_proxys_page_is_no_answer(mlflow: Mlflow, tmp_path: Path) -> None:
    mlflow.page = b"<html>starting</html>"
    spool = Spool(tmp_path / "spool")
    spool.metric("loss", 1.0, 1)
    shipper = Shipper(tmp_path / "spool", run(mlflow)).start()
    wait_until(lambda: mlflow.requests, 10, "the first try")
    mlflow.page = b""
    assert shipper.close()
    assert [m["step"] for m in mlflow.metrics] == [1]


def test_a_process_without_a_runner_prints_what_was_not_stored(mlflow: Mlflow, tmp_path: Path) -> None:
    code = "import submarine_ray as s\ns.log_metric('bad', 1, 1)\ns.log_metric('good', 2, 2)"
    env = os.environ | {"MLFLOW_TRACKING_URI": mlflow.url, "MLFLOW_RUN_ID": "r", "TMPDIR": str(tmp_path)}
    env.pop("SUBMARINE_SPOOL", None)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert "[submarine] not stored: metric 'bad' = 1.0 at step 1: HTTP 400" in done.stdout, done
    assert [m["key"] for m in mlflow.metrics] == ["good"]


def test_numbers_that_json_lacks(mlflow: Mlflow, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for value in (float("nan"), float("inf"), float("-inf")):
        spool.metric("loss", value, 0)
    assert Shipper(tmp_path / "spool", run(mlflow)).start().close()
    assert [m["value"] for m in mlflow.metrics] == ["NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", "raise SystemExit(3)", "1 / 0"])
def test_a_process_without_a_runner_loses_nothing_however_it_ends(mlflow: Mlflow, tmp_path: Path, end: str) -> None:
    code = f"import os, submarine_ray as s\nfor i in range(3000): s.log_metric('loss', i, i)\n{end}"
    env = os.environ | {"MLFLOW_TRACKING_URI": mlflow.url, "MLFLOW_RUN_ID": "r", "TMPDIR": str(tmp_path)}
    env.pop("SUBMARINE_SPOOL", None)
    subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=60)
    wait_until(lambda: len(mlflow.metrics) >= 3000, 20, "all metrics arrive")
    assert sorted(m["step"] for m in mlflow.metrics) == list(range(3000))


@pytest.mark.parametrize("key", ["", "a b!", "../a", "/a", "a//b", ".", "x" * 251, "é\n"])
def test_names_that_mlflow_would_refuse_are_refused_where_they_are_logged(key: str) -> None:
    with pytest.raises(ValueError, match="cannot name a metric"):
        tracking.log_metric(key, 1.0)
    with pytest.raises(ValueError, match="cannot name a metric"):
        tracking.log_param(key, "1")


def test_without_a_run_metrics_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    tracking.log_metric("loss", 0.5, 3)
    assert "[metric] loss=0.5 step=3" in capsys.readouterr().out
