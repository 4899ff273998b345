"""What `submarine run` and `submarine.run` are given reaches the experiment's spec."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from submarine_ray.cli import main
from submarine_ray.client.run import run


class Service:
    """Takes experiments, and keeps their specs."""

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []

    def create_experiment(self, spec: dict[str, Any]) -> dict[str, Any]:
        self.specs.append(spec)
        return {"experimentId": "experiment-1"}


def test_the_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    service: Any = Service()
    monkeypatch.setattr(main, "client", lambda: service)
    run("python train.py", grace_period=0, client=service)
    run("python train.py", client=service)
    options = ["run", "--no-working-dir", "--no-follow", "--grace-period", "120", "--", "python", "train.py"]
    shown = CliRunner().invoke(main.app, options)
    assert shown.exit_code == 0, shown.output
    assert [spec.get("gracePeriod") for spec in service.specs] == [0, None, 120]
