"""MLflow is loaded in the background, also where its database is away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from submarine_ray.access.tokens import Tokens
from submarine_ray.core.errors import DatabaseUnavailable, TrackingUnavailable
from submarine_ray.core.settings import Settings
from submarine_ray.tracking import service
from submarine_ray.tracking.points import MetricPoints
from submarine_ray.tracking.service import TrackingService
from tests.conftest import wait_until


class Loading:
    """Stands for MLflow's server, which takes seconds to import: fails as often as it has failures."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = [*failures]
        self.calls = 0

    def __call__(self, _settings: Settings) -> object:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return object()


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingService]:
    monkeypatch.setattr(MetricPoints, "prepare", lambda _self: None)
    monkeypatch.setattr(service, "AGAIN_SECONDS", 0.3)
    made = TrackingService(Settings(home=tmp_path), Tokens(b"k" * 32))
    yield made
    made.stop()


def test_a_database_that_is_away_at_the_start_is_waited_for(
    tracking: TrackingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = OperationalError("DO RELEASE_LOCK", {}, Exception("Lost connection to MySQL server during query"))
    loading = Loading(lost, DatabaseUnavailable("The database does not answer."))
    monkeypatch.setattr(service, "load", loading)
    tracking.start()
    with pytest.raises(TrackingUnavailable, match="MLflow's database does not answer; try again in a moment"):
        tracking.wait_ready()
    wait_until(lambda: tracking.is_ready, 30, "MLflow is loaded")
    tracking.wait_ready()
    assert loading.calls == 3 and tracking.database is not None


def test_any_other_failure_is_told_and_not_tried_again(
    tracking: TrackingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = Loading(ValueError("out of order"))
    monkeypatch.setattr(service, "load", loading)
    tracking.start()
    with pytest.raises(TrackingUnavailable, match="MLflow did not start: out of order"):
        tracking.wait_ready()
    assert not tracking.is_ready and tracking._stopping.wait(10) and loading.calls == 1
