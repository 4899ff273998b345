"""`make bench`: what the platform costs, each figure beside what it is compared with, measured in turn in one run.

Prints a table and writes benchmarks/results/latest.json with the raw numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.clicks import clicks
from benchmarks.harness import Bench, running, seconds, show
from benchmarks.kubernetes import kubernetes
from benchmarks.load import requests_per_second
from benchmarks.notebooks import notebooks
from benchmarks.pages import pages
from benchmarks.points import points
from benchmarks.sweeps import sweeps
from benchmarks.tables import tables
from submarine_ray.cli import local_ray, platform, processes
from submarine_ray.client.run import run
from submarine_ray.runner.network import free_port
from submarine_ray.serving import applications
from submarine_ray.spec.examples import EXAMPLES
from submarine_ray.spec.home import Home

HERE = Path(__file__).parent
ROUNDS = 11
CONNECTIONS = 64
POINTS = 20_000
LISTED = 10_000
ROW = {"inputs": [[0.5] * 64]}


def trivial(bench: Bench) -> None:
    """A trivial command, from submission to the end that the user sees."""
    ray = bench.ray()

    def raw() -> None:
        id = ray.post("/api/jobs/", json={"entrypoint": "true"}).json()["submission_id"]
        while ray.get(f"/api/jobs/{id}").json()["status"] not in ("SUCCEEDED", "FAILED"):
            time.sleep(0.05)

    def ours() -> None:
        run("true", framework="Shell", name="trivial", client=bench.client).wait()

    raw(), ours()
    pairs = [(seconds(ours), seconds(raw)) for _ in range(ROUNDS)]
    bench.add("trivial command over the raw Jobs API", "s", *map(list, zip(*pairs, strict=True)), "<= 1.10", False)  # type: ignore[arg-type]


def ddp(bench: Bench) -> None:
    """A 2-worker 200-step DDP script, whole, over torchrun."""
    script = str(HERE / "ddp.py")
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29631",
        script,
    ]

    def ours() -> None:
        run(["python", script], workers=2, framework="PyTorch", name="ddp", client=bench.client).wait()

    pairs = [
        (seconds(ours), seconds(lambda: subprocess.run(torchrun, check=True, capture_output=True))) for _ in range(3)
    ]
    bench.add("2-worker DDP script over torchrun", "s", *map(list, zip(*pairs, strict=True)), "<= 1.6", False)  # type: ignore[arg-type]


def serving(bench: Bench) -> None:
    """The quickstart's model at 64 connections."""
    env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    subprocess.run(
        [sys.executable, "-m", "submarine_ray.cli.main", "quickstart"], check=True, env=env, stdout=subprocess.DEVNULL
    )
    endpoint = bench.client.service.call("GET", "/api/v1/serve")[0]
    with _mlflow_serve(bench, endpoint) as mlflow_url, _default_serve(bench, endpoint) as default_url:
        rounds = [
            [
                requests_per_second(url, ROW, CONNECTIONS)
                for url in (endpoint["invocationsUrl"], mlflow_url, default_url)
            ]
            for _ in range(3)
        ]
    ours, mlflow, default = map(list, zip(*rounds, strict=True))
    bench.add(
        f"served model over mlflow models serve, {CONNECTIONS} connections", "requests/s", ours, mlflow, ">= 3", True
    )
    bench.add(
        f"served model over Ray Serve's default mode, {CONNECTIONS} connections",
        "requests/s",
        ours,
        default,
        ">= 8",
        True,
    )


@contextmanager
def _mlflow_serve(bench: Bench, endpoint: dict[str, Any]) -> Iterator[str]:
    port = free_port()
    command = [str(Path(sys.executable).parent / "mlflow"), "models", "serve", "-m", bench.model_path(endpoint),
               "-p", str(port), "-h", "127.0.0.1", "--env-manager", "local"]  # fmt: skip
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"{platform.url()}/mlflow",
    }
    started = processes.start(command, env, bench.home.root / "mlflow-serve.log")
    url = f"http://127.0.0.1:{port}/invocations"
    try:
        _answers(url)
        yield url
    finally:
        processes.stop(started, 5)


@contextmanager
def _default_serve(bench: Bench, endpoint: dict[str, Any]) -> Iterator[str]:
    """The same application on a second cluster, Serve as it comes."""
    root = Path(tempfile.mkdtemp(prefix="sb-"))
    home = Home(root)
    local_ray.start(home, fast_serve=False)
    try:
        known = processes.load(home.ray_state)
        assert known
        headers = {"Authorization": f"Bearer {home.ray_token.read_text().strip()}"}
        desired = applications.Desired("m-1", "m", 1, bench.model_path(endpoint), endpoint["replicas"], 0, 0)
        application = applications.application(desired, f"{platform.url()}/mlflow")
        options = {"host": "127.0.0.1", "port": known[1]["servePort"]}
        config = {"http_options": options, "proxy_location": "HeadOnly", "applications": [application]}
        httpx.put(
            f"{known[1]['address']}/api/serve/applications/", json=config, headers=headers, timeout=60
        ).raise_for_status()
        url = f"http://127.0.0.1:{known[1]['servePort']}/m/1/invocations"
        _answers(url)
        yield url
    finally:
        local_ray.stop(home)
        local_ray.forget(home)
        shutil.rmtree(root, ignore_errors=True)


def _answers(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.post(url, json=ROW, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise SystemExit(f"{url} did not answer")


def requests(bench: Bench) -> None:
    """Single requests to the API, and the idle service's memory."""
    spec = {
        "meta": {"name": "queued", "framework": "Shell", "cmd": "true"},
        "spec": {"Worker": {"resources": "cpu=900"}},
        "queue": True,
    }
    run("true", framework="Shell", name="trivial", client=bench.client).wait()
    ids = []
    posts = []
    for _ in range(100):
        posts.append(1000 * seconds(lambda: ids.append(bench.client.create_experiment(spec)["experimentId"])))
    for id in ids:
        bench.client.delete_experiment(id)
    _fill(bench, LISTED)
    params = {"pageSize": 20}
    lists = [
        1000 * seconds(lambda: bench.client.service.call("GET", "/api/v1/experiment", params=params))
        for _ in range(100)
    ]
    _resources(bench)
    bench.add("POST /experiment, p50", "ms", [statistics.median(posts)], [], "<= 15 ms", False)
    bench.add(f"list of 20 among {LISTED}, p50", "ms", [statistics.median(lists)], [], "<= 20 ms", False)
    known = processes.load(bench.home.service_state)
    assert known
    bench.add(
        "control service, resident", "MB", [psutil.Process(known[0].pid).memory_info().rss / 1e6], [], "a figure", False
    )


def _resources(bench: Bench) -> None:
    """Creating and reading environments and templates."""
    call = bench.client.service.call
    for kind, example in (("environment", "NewEnvironment"), ("template", "TemplateSpec")):
        path, names = f"/api/v1/{kind}", [f"bench-{number}" for number in range(100)]
        made = [_ms_of(call, "POST", path, json=EXAMPLES[example] | {"name": name}) for name in names]
        read = [_ms_of(call, "GET", f"{path}/{name}") for name in names]
        bench.add(f"POST /{kind}, p50", "ms", [statistics.median(made)], [], "<= 10 ms", False)
        bench.add(f"GET /{kind}/NAME, p50", "ms", [statistics.median(read)], [], "<= 10 ms", False)


def _ms_of(call: Callable[..., Any], *arguments: Any, **named: Any) -> float:
    return 1000 * seconds(lambda: call(*arguments, **named))


def _fill(bench: Bench, count: int) -> None:
    """Copies of an ended experiment, written behind the service's back."""
    import sqlite3

    with sqlite3.connect(bench.home.database, timeout=30) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(experiment)")]
        others = ", ".join(c for c in columns if c not in ("id", "next_check_ms"))
        template = connection.execute("SELECT id FROM experiment WHERE status = 'Succeeded' LIMIT 1").fetchone()[0]
        connection.executemany(
            f"INSERT INTO experiment (id, {others}) SELECT ?, {others} FROM experiment WHERE id = ?",
            [(f"experiment-1-{n:06d}", template) for n in range(count)],
        )


def metrics(bench: Bench) -> None:
    """Points a second stored, by a loop that logs them one by one."""
    ours_code = (
        f"import time\nimport submarine_ray as s\nb = time.perf_counter()\nfor i in range({POINTS}): s.log_metric('x', i, i)\n"
        f"print('loop', 1e6 * (time.perf_counter() - b) / {POINTS})"
    )
    other_code = (
        "import time, mlflow\nmlflow.start_run()\nb = time.perf_counter()\n"
        "for i in range(150): mlflow.log_metric('y', i, i)\nprint('rate', 150 / (time.perf_counter() - b))"
    )
    rates, others, loops = [], [], []
    for _ in range(3):
        handle = run(["python", "-c", ours_code], name="metrics", client=bench.client)
        ended = handle.wait()
        loops.append(float(next(line.split()[1] for _, line in handle.logs() if line.startswith("loop"))))
        points = handle.metrics("x")
        assert len(points) == POINTS
        # From the first line logged to the end of the experiment, when all are stored.
        rates.append(POINTS / ((_ms(ended["finishedTime"]) - min(p["timestamp"] for p in points)) / 1000))
        handle = run(["python", "-c", other_code], name="metrics", client=bench.client)
        handle.wait()
        others.append(float(next(line.split()[1] for _, line in handle.logs() if line.startswith("rate"))))
    bench.add("log_metric over mlflow.log_metric", "points/s", rates, others, ">= 50", True)
    bench.add("log_metric, cost to the training loop", "microseconds", loops, [], "microseconds", False)


def _ms(iso: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(iso).timestamp() * 1000


def main() -> None:
    """Run the benchmarks named in argv, or all but the largest."""
    known: dict[str, Callable[[Bench], None]] = {
        "trivial": trivial,
        "ddp": ddp,
        "metrics": metrics,
        "points": points,
        "serving": serving,
        "requests": requests,
        "notebooks": notebooks,
        "sweeps": sweeps,
        "clicks": clicks,
        "kubernetes": kubernetes,
        "pages": pages,
        "tables": tables,
    }
    with running() as bench:
        for name in sys.argv[1:] or (name for name in known if name != "tables"):  # which takes minutes to fill
            known[name](bench)
    show(bench, "make bench (medians)")
    results = HERE / "results" / "latest.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(bench.results, indent=1))


if __name__ == "__main__":
    main()
