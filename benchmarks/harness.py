"""What every benchmark stands on: one platform, and the results so far."""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from submarine_ray.cli import platform, processes
from submarine_ray.cli.output import table
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.runner.network import free_port
from submarine_ray.spec.home import Home


class Bench:
    """One platform, and the results so far."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.client = ExperimentClient(platform.url())
        self.results: list[dict[str, Any]] = []
        self.has_gpu = False

    def add(
        self, name: str, unit: str, ours: list[float], other: list[float], wanted: str, higher_is_better: bool
    ) -> None:
        a, b = statistics.median(ours), statistics.median(other) if other else None
        self.results.append(
            {"name": name, "unit": unit, "ours": ours, "other": other, "ratio": a / b if b else None, "wanted": wanted}
        )
        print(
            f"{name}: {a:.4g} {unit}" + (f" against {b:.4g}, ratio {a / b:.2f} (wanted {wanted})" if b else ""),
            flush=True,
        )

    def ray(self) -> httpx.Client:
        known = processes.load(self.home.ray_state)
        assert known
        headers = {"Authorization": f"Bearer {self.home.ray_token.read_text().strip()}"}
        return httpx.Client(base_url=str(known[1]["address"]), headers=headers, timeout=30)

    def model_path(self, endpoint: dict[str, Any]) -> str:
        """Where an endpoint's model lies on this machine."""
        with sqlite3.connect(self.home.root / "submarine.db") as connection:
            row = connection.execute("SELECT model_uri FROM endpoint WHERE name = ?", (endpoint["name"],)).fetchone()
        return str(row[0])


def seconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


@contextmanager
def running(gpus: int | None = None) -> Iterator[Bench]:
    """A platform of its own, of which nothing is left."""
    root = Path(tempfile.mkdtemp(prefix="sb-"))
    # As users have it, whose pip compiles what it installs: else each job would compile the runner anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ |= {"SUBMARINE_HOME": str(root), "SUBMARINE_PORT": str(free_port())}
    os.environ["SUBMARINE_ALLOW_CLUSTER_NETWORKS"] = "127.0.0.0/8"  # where the simulated Kubernetes is
    home = Home(root)
    platform.up(home, gpus=gpus)
    try:
        yield Bench(home)
    finally:
        platform.down(home)
        shutil.rmtree(root, ignore_errors=True)


def show(bench: Bench, title: str) -> None:
    """All results as a table."""
    rows = [
        (r["name"], f"{statistics.median(r['ours']):.4g} {r['unit']}", f"{statistics.median(r['other']):.4g}" if r["other"] else "",
         f"{r['ratio']:.2f}" if r["ratio"] else "", r["wanted"])
        for r in bench.results
    ]  # fmt: skip
    table(title, ("What", "Ours", "Compared with", "Ratio", "Wanted"), rows)
