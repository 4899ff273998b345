"""TensorFlow's parameter servers and evaluators, which never end by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunningPlatform

pytestmark = pytest.mark.ray

SCRIPT = Path(__file__).parent / "parameter_server.py"


@pytest.mark.long
def test_chief_worker_ps_and_evaluator_end_with_the_chief(platform: RunningPlatform) -> None:
    pytest.importorskip("tensorflow")
    role = {"replicas": 1, "resources": "cpu=0.5"}
    spec = {
        "meta": {"name": "parameter-server", "framework": "TensorFlow", "cmd": f"python {SCRIPT}"},
        "spec": dict.fromkeys(("Chief", "Worker", "Ps", "Evaluator"), role),
    }
    id = platform.client.create_experiment(spec)["experimentId"]
    ended = platform.ended(id, 180)
    lines = platform.lines(id)
    assert ended["status"] == "Succeeded", lines
    assert any(line.startswith("total 10.0 on /job:ps") for line in lines["chief-0"]), lines["chief-0"]
    assert "evaluating" in lines["evaluator-0"]
