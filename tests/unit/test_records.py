"""What may be logged: whatever passes is stored as it is; whatever cannot be is refused at the call, by name."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from submarine_ray.client import tracking
from submarine_ray.client.spool import Spool
from submarine_ray.experiments.losses import losses
from submarine_ray.spec.records import Metric, checked_number
from submarine_ray.spec.spool.lines import read

torch = pytest.importorskip("torch")


@pytest.fixture
def spool(tmp_path: Path) -> Any:
    """What `log_*` writes goes to this file."""
    tracking.redirect(Spool(tmp_path / "spool"), None)
    yield tmp_path / "spool"
    tracking.redirect(None, None)


def logged(spool: Path) -> list[tuple[Any, ...]]:
    records = [read(line) for line in spool.read_bytes().splitlines(keepends=True)]
    return [(r.key, r.value, r.step) if isinstance(r, Metric) else (r.key, r.value) for r in records]


@pytest.mark.parametrize(
    "value",
    [1.5, np.array([1.5]), np.array([[1.5]]), np.array(1.5), np.float32(1.5), np.float16(1.5), Decimal("1.5"),
     Fraction(3, 2), "1.5", torch.tensor(1.5), torch.tensor([[1.5]]), torch.tensor([1.5], requires_grad=True)],
)  # fmt: skip
def test_one_number_of_any_library_is_a_metric(spool: Path, value: Any) -> None:
    tracking.log_metric("loss", value, 1)
    assert logged(spool) == [("loss", 1.5, 1)]


def test_whole_steps_of_any_kind(spool: Path) -> None:
    for step in (3, None, -7, np.int64(3), np.array([3]), torch.tensor(3), 3.0, 2**63 - 1, -(2**63)):
        tracking.log_metric("loss", 1, step)
    assert [record[2] for record in logged(spool)] == [3, 0, -7, 3, 3, 3, 3, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize(
    "value",
    ["high", None, 1j, np.array([1.0, 2.0]), np.array([]), torch.tensor([1.0, 2.0]), [1.5], {}, 10**400, -(10**5000),
     Decimal("1e400"), b"\xff", object()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_not_one_number_is_refused_by_name(spool: Path, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"metric 'loss': .*(not one number|too large)"):
        tracking.log_metric("loss", value)
    assert not spool.read_bytes()


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1, 1.5, math.nan, math.inf, "three", np.array([1, 2]), [1]])
def test_steps_that_cannot_be_stored_are_refused_by_name(spool: Path, step: Any) -> None:
    with pytest.raises(ValueError, match=r"metric 'loss': the step .* (is not a whole number|is beyond 64 bits)"):
        tracking.log_metric("loss", 1.0, step)
    assert not spool.read_bytes()


def test_texts_that_cannot_be_stored_are_refused_by_name(spool: Path) -> None:
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    with pytest.raises(ValueError, match=r"parameter 'file': .*caf\\udce9.csv' is not Unicode text"):
        tracking.log_param("file", name)
    with pytest.raises(ValueError, match=r"parameter 'text': .* at most 6000"):
        tracking.log_param("text", "x" * 6001)
    tracking.log_param("file", "café \0 \U0001f40b")
    assert logged(spool) == [("file", "café \0 \U0001f40b")]


def test_a_parameter_does_not_change(spool: Path) -> None:
    tracking.log_param("depth", 3)  # type: ignore[arg-type]
    tracking.log_param("depth", "3")
    with pytest.raises(ValueError, match="parameter 'depth': it is '3' already, and cannot become '5'"):
        tracking.log_param("depth", "5")
    assert logged(spool) == [("depth", "3"), ("depth", "3")]


def test_reports_keep_their_numbers(spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = {"loss": np.array([0.5]), "name": "resnet", "curve": [1, 2], "matrix": np.zeros((2, 2)), "a!": 1, "n": 3}
    for step in (1, 2):
        assert tracking.record_report(report, step) == [("loss", 0.5), ("a!", 1.0), ("n", 3.0)]
    assert logged(spool) == [("loss", 0.5, 1), ("n", 3.0, 1), ("loss", 0.5, 2), ("n", 3.0, 2)]
    assert capsys.readouterr().out.count("a reported value is not stored: 'a!' cannot name") == 1


def test_infinities_and_nan_are_numbers() -> None:
    assert math.isnan(checked_number(np.float64("nan"), "x"))
    assert checked_number(-math.inf, "x") == -math.inf
    assert [Metric("m", v, 0, 0).body()["value"] for v in (math.nan, math.inf, -math.inf)] == [
        "NaN", "Infinity", "-Infinity",
    ]  # fmt: skip


def test_a_log_that_tells_of_a_loss_makes_an_event(tmp_path: Path) -> None:
    logs = {
        "worker-0.log": "epoch 1\n[submarine] not stored: metric 'a' = 1.0 at step 3: HTTP 400: no.\n"
        "[submarine] not stored: 3 more records\n",
        "worker-1.log": "print('[submarine] not stored: ')\n",
    }
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
    (event,) = losses(sorted(tmp_path.iterdir()))
    assert event.reason == "NotStored"
    assert event.message == (
        "worker-0 logged what was not stored: metric 'a' = 1.0 at step 3: HTTP 400: no. "
        "Its log has 1 more of these lines."
    )
