"""What every benchmark stands on: one platform, and the results so far."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx

from submarine_ray.cli import platform, processes
from submarine_ray.client.experiments import ExperimentClient
from submarine_ray.spec.home import Home


class Bench:
    """One platform, and the results so far."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.client = ExperimentClient(platform.url())
        self.results: list[dict[str, Any]] = []

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


def seconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun
