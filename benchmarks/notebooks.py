"""A notebook beside `jupyter lab` started by hand: how soon it opens, and what the way through the service costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.harness import Bench, seconds
from submarine_ray.client.notebooks import NotebookClient
from submarine_ray.runner.network import free_port
from tests.jupyter import Jupyter

ROUNDS = 5
CELLS = 300
LOOK_SECONDS = 0.02
TOKEN = "by hand"


def notebooks(bench: Bench) -> None:
    """Both figures of the notebooks."""
    client = NotebookClient(bench.client.service.host)

    def ours() -> str:
        created = client.create_notebook({"meta": {"name": "bench"}, "spec": {"resources": "cpu=1"}})
        _opens(f"{client.service.host}{created['url']}", {})
        return str(created["notebookId"])

    pairs = []
    for number in range(ROUNDS + 1):
        ids: list[str] = []
        took = seconds(lambda ids=ids: ids.append(ours()))
        by_hand = _by_hand()
        if number:  # the first is a warm-up
            pairs.append((took, by_hand))
        if number < ROUNDS:
            client.delete_notebook(ids[0])
            time.sleep(2)  # until its processes have left the cores
    started, hands = map(list, zip(*pairs, strict=True))
    bench.add("a notebook opens, over `jupyter lab` by hand", "s", started, hands, "<= 1.5", False)
    bench.add("the same, what is added", "s", [a - b for a, b in pairs], [], "a figure", False)
    _round_trips(bench, Jupyter(f"{client.service.host}/notebook/default/bench"))
    client.delete_notebook(ids[0])


def _by_hand() -> float:
    """Seconds from the command to a page that opens."""
    port, directory = free_port(), tempfile.mkdtemp()
    command = [Path(sys.executable).parent / "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
    env = {**os.environ, "JUPYTER_TOKEN": TOKEN, "JUPYTER_CONFIG_DIR": directory}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, f"--ServerApp.root_dir={directory}"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _opens(f"http://127.0.0.1:{port}/lab", {"Authorization": f"token {TOKEN}"})
        return time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(20)


def _opens(url: str, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    with httpx.Client(headers=headers, timeout=20) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(LOOK_SECONDS)
    raise SystemExit(f"{url} did not open")


def _round_trips(bench: Bench, proxied: Jupyter) -> None:
    """One kernel, asked in turn through the service and directly."""
    kernel = proxied.kernel()
    found = kernel.run(
        "import glob, json, os\n"
        "server = json.load(open(glob.glob(os.environ['JUPYTER_RUNTIME_DIR'] + '/jpserver-*.json')[0]))\n"
        "print(server['url'], os.environ['JUPYTER_TOKEN'])"
    )
    url, token = found.split()
    direct = Jupyter(url, {"Authorization": f"token {token}"}).attach(kernel.id)
    for way in (kernel, direct):
        way.run("pass")
    pairs = [
        (1000 * seconds(lambda: kernel.run("pass")), 1000 * seconds(lambda: direct.run("pass"))) for _ in range(CELLS)
    ]
    ours, others = map(list, zip(*pairs, strict=True))
    bench.add("a cell through the service, over directly", "ms", ours, others, "<= 5 ms more", False)
