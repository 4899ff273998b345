"""`make benchgpu`: one GPU and no network, within five minutes; where there is no GPU, Ray is told of one.

Who sees the GPU, the quickstart, NCCL, a train function, DeepFM, served models beside a bare app, a sweep of fractions.
Prints a table and writes benchmarks/results/gpu.json. What fails is told, and the rest goes on.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.gpu_models import PIXELS
from benchmarks.harness import Bench, running, seconds, show
from benchmarks.load import requests_per_second
from submarine_ray.cli import platform, processes
from submarine_ray.client.models import ServeClient
from submarine_ray.client.run import ExperimentHandle, run
from submarine_ray.client.templates import TemplateClient
from submarine_ray.client.tune import tune
from submarine_ray.runner.network import free_port

HERE = Path(__file__).parent
# What has not begun by then is left out: the whole shall take no more than five minutes.
BEGIN_SECONDS = 240
WAIT_SECONDS = 120
CONNECTIONS = 16
LOAD_SECONDS = 4
SEES = """
import os, torch
shown = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
print("sees", torch.cuda.device_count() if torch.cuda.is_available() else len([one for one in shown.split(",") if one]))
"""


def placement(bench: Bench) -> None:
    """How many GPUs a process sees that asked for none, half of one, and one."""
    asked = (0, 0.5, 1)
    handles = [
        run(["python", "-c", SEES], name="sees", cpus_per_worker=0.5, gpus_per_worker=gpus, client=bench.client)
        for gpus in asked
    ]
    for gpus, handle in zip(asked, handles, strict=True):
        bench.add(f"asked for {gpus:g} GPU, sees", "GPUs", [_said(handle, "sees")], [], "0" if gpus == 0 else "1", True)


def quickstart(bench: Bench) -> None:
    """Two CPU workers beside a GPU that is not theirs, and an endpoint that answers."""
    command = [sys.executable, "-m", "submarine_ray.cli.main", "quickstart"]
    bench.add("make quickstart", "s", [seconds(lambda: _quietly(command))], [], "a figure", False)


def nccl(bench: Bench) -> None:
    """All-reduces of a rank with the whole GPU, beside torchrun; and of two ranks that share it."""
    script = str(HERE / "gpu_ranks.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1",
                "--master-port", str(free_port()), script]  # fmt: skip

    def ranks(workers: int, gpus: float) -> float:
        named = {"framework": "PyTorch", "name": "ranks", "client": bench.client, "cpus_per_worker": 0.5}
        return _said(run(["python", script], workers=workers, gpus_per_worker=gpus, **named), "reduced", 2)  # type: ignore[arg-type]

    bare = float(re.findall(r"reduced \w+ (\S+)", _quietly(torchrun))[0])
    bench.add("all-reduces of a rank with a GPU over torchrun's", "1/s", [ranks(1, 1)], [bare], ">= 0.9", True)
    bench.add("all-reduces of two ranks that share it (gloo)", "1/s", [ranks(2, 0.5)], [], "a figure", True)


def train_function(bench: Bench) -> None:
    """A function with the whole GPU, driven by Ray Train, beside the same in this process."""
    gpus = int(bench.has_gpu)  # Ray Train speaks NCCL wherever it is given a GPU, and a CPU's PyTorch does not
    handle = run(_steps, workers=1, framework="PyTorch", gpus_per_worker=gpus, name="function", client=bench.client)
    ours = _said(handle, "rate")
    plain = [sys.executable, "-c", "from benchmarks.gpu import _steps; _steps()"]
    bare = float(re.findall(r"rate (\S+)", _quietly(plain))[0])
    bench.add("steps of a train function over a plain process's", "1/s", [ours], [bare], ">= 0.9", True)


def _steps() -> None:
    import time

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 10)).to(device)
    optimizer = torch.optim.Adam(model.parameters())
    images, labels = torch.randn(256, 512, device=device), torch.randint(0, 10, (256,), device=device)

    def step() -> float:
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss)

    for _ in range(20):
        step()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < 3:
        step()
        count += 1
    print(f"rate {count / (time.perf_counter() - begun):.1f}", flush=True)


def deepfm(bench: Bench) -> None:
    """The library's click-through model on a worker with the GPU; it books what it uses."""
    gpus = "1" if bench.has_gpu else "0"
    params = {"training.num_gpu": gpus, "training.workers": "1", "training.num_epochs": "1"}
    made = TemplateClient(platform.url()).submit_template("deepfm-ctr", params)
    booked = made["spec"]["spec"]["Worker"]["resourceMap"]["nvidia.com/gpu"]
    bench.add("deepfm-ctr on a GPU books", "GPUs", [float(booked)], [], gpus, True)
    handle = ExperimentHandle(bench.client, made["experimentId"])
    bench.add("deepfm-ctr, whole", "s", [seconds(lambda: handle.wait(WAIT_SECONDS))], [], "a figure", False)


def serving(bench: Bench) -> None:
    """An MLP and a ResNet, exported on the CPU and served with half of the GPU each, beside a bare app."""
    saved = run(["python", str(HERE / "gpu_models.py")], name="models", client=bench.client)
    saved.wait(WAIT_SECONDS)
    image = [[[0.5] * PIXELS] * PIXELS] * 3
    client = ServeClient(platform.url())
    for model, row in (("bench-mlp", [0.5] * 64), ("bench-resnet", image)):
        client.create_serve(model, 1, resources="nvidia.com/gpu=0.5")
        endpoint = client.wait_until_running(model, 1)
        body = {"inputs": [row]}
        with _bare_app(bench.model_path(endpoint), body) as bare:
            pairs = [
                [
                    requests_per_second(url, body, CONNECTIONS, LOAD_SECONDS)
                    for url in (endpoint["invocationsUrl"], bare)
                ]
                for _ in range(2)
            ]
        ours, other = map(list, zip(*pairs, strict=True))
        bench.add(f"{model} over a bare app, {CONNECTIONS} connections", "requests/s", ours, other, ">= 0.8", True)
        client.delete_serve(model, 1)


@contextmanager
def _bare_app(model: str, body: Any) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.gpu_bare:app", "--port", str(port), "--log-level", "error"]
    env = {**os.environ, "BENCH_MODEL": model}
    log = Path(os.environ["SUBMARINE_HOME"]) / "bare.log"
    started = processes.start(command, env, log)
    url = f"http://127.0.0.1:{port}/invocations"
    try:
        deadline = time.monotonic() + 60
        while not _answers(url, body):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the bare app does not answer: {processes.tail(log)}")
            time.sleep(0.3)
        yield url
    finally:
        processes.stop(started, 5)


def _answers(url: str, body: Any) -> bool:
    try:
        return httpx.post(url, json=body, timeout=10, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def fractions(bench: Bench) -> None:
    """Four trials of a sweep on a quarter of the GPU each, beside one at a time on all of it."""

    def trials(gpus: float) -> float:
        code = "import time, submarine_ray; time.sleep(4); submarine_ray.log_metric('m', {{x}})"
        handle = tune(
            ["python", "-c", code], search_space={"x": {"type": "grid", "values": [1, 2, 3, 4]}}, metric="m", mode="max",
            num_samples=1, cpus_per_worker=0.5, gpus_per_worker=gpus, name="fractions", client=bench.client,
        )  # fmt: skip
        return seconds(lambda: handle.wait(WAIT_SECONDS))

    bench.add("four trials on a quarter each over one by one", "s", [trials(0.25)], [trials(1)], "<= 0.6", False)


def _said(handle: ExperimentHandle, word: str, position: int = 1) -> float:
    """The number after a word in an experiment's log, once it has ended well. Raises ExperimentFailed."""
    handle.wait(WAIT_SECONDS)
    line = next(line for _, line in handle.logs() if line.startswith(f"{word} "))
    return float(line.split()[position])


def _quietly(command: list[str]) -> str:
    env = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=WAIT_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


def main() -> int:
    """Run the parts named in argv, or all; 1 if one failed."""
    import torch

    has_gpu = torch.cuda.is_available()
    print(f"on {torch.cuda.get_device_name(0)}" if has_gpu else "no GPU here: Ray is told of one, and CPUs compute")
    parts: tuple[Callable[[Bench], None], ...] = (
        placement, quickstart, nccl, train_function, serving, deepfm, fractions,
    )  # fmt: skip
    begun, failed = time.monotonic(), []
    with running(None if has_gpu else 1) as bench:
        bench.has_gpu = has_gpu
        for part in parts:
            if sys.argv[1:] and part.__name__ not in sys.argv[1:]:
                continue
            if time.monotonic() - begun > BEGIN_SECONDS:
                print(f"{part.__name__}: left out, {BEGIN_SECONDS} s are over", flush=True)
                continue
            try:
                part(bench)
            except Exception as failure:  # noqa: BLE001 (a part's failure is its result)
                failed.append(part.__name__)
                print(f"{part.__name__} FAILED: {type(failure).__name__}: {failure}", flush=True)
    show(
        bench, f"make benchgpu, {time.monotonic() - begun:.0f} s" + (f"; FAILED: {', '.join(failed)}" if failed else "")
    )
    results = HERE / "results" / "gpu.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(bench.results, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
