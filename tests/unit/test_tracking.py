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
from submarine_ray.client.spool import Run, Shipper, Spool
from tests.conftest import wait_until


class Mlflow(ThreadingHTTPServer):
    """Keeps what is posted; refuses batches that hold a key named `bad`, and answers 503 while `away`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.metrics: list[dict[str, Any]] = []
        self.params: list[dict[str, Any]] = []
        self.away = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mlflow"


class _Handler(BaseHTTPRequestHandler):
    server: Mlflow

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        records = body.get("metrics", []) + body.get("params", [])
        status = 503 if self.server.away else 400 if any(r["key"] == "bad" for r in records) else 200
        if status == 200:
            self.server.metrics += body.get("metrics", [])
            self.server.params += body.get("params", [])
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

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
    assert not Shipper(tmp_path / "spool", run(mlflow)).start().close()
    assert [m["step"] for m in mlflow.metrics] == [i for i in range(50) if i != 17]
    assert mlflow.params == [{"key": "good", "value": "2"}]


def test_a_server_that_is_away_is_waited_for(mlflow: Mlflow, tmp_path: Path) -> None:
    mlflow.away = True
    spool = Spool(tmp_path / "spool")
    spool.metric("loss", 1.0, 1)
    shipper = Shipper(tmp_path / "spool", run(mlflow)).start()
    assert not shipper.close(0.3)
    mlflow.away = False
    wait_until(lambda: mlflow.metrics, 10, "the metric arrives")


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


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises((TypeError, ValueError)):
        tracking.log_metric("loss", "high")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 6000"):
        tracking.log_param("text", "x" * 6001)


def test_without_a_run_metrics_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    tracking.log_metric("loss", 0.5, 3)
    assert "[metric] loss=0.5 step=3" in capsys.readouterr().out
