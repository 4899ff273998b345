"""One trial is told to end while the others go on: what its process does, and what the driver makes of it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from submarine_ray.runner import lines
from submarine_ray.runner.errors import CommandFailed
from submarine_ray.runner.lines import END, STOP, LineSink
from submarine_ray.runner.process import ENDED_STATUS
from submarine_ray.runner.tune import sweep as sweep_module
from submarine_ray.runner.tune import trial as trial_module
from submarine_ray.runner.tune.sweep import BY_USER, Rules, Sweep
from submarine_ray.runner.tune.trial import ENDED, LOGGED, REPORTS, Trial
from submarine_ray.runner.tune.wishes import Wishes
from submarine_ray.runner.tune.work import Reports
from submarine_ray.spec.launch import Launch, Replica, Tune
from submarine_ray.spec.trials import TrialState

TUNE = Tune(search_space={}, metric="loss", mode="min", num_samples=4)
LAUNCH = Launch("e", "e", "sweep", "Python", (Replica("worker", 0, "x"),), tune=TUNE, grace_seconds=0)


class Remote:
    """A method of an actor that is called at once."""

    def __init__(self, method: Any) -> None:
        self.remote = method


class PlayedWork:
    """Work that fails once it is asked to end, as a command that SIGTERM has ended."""

    checkpoint = None

    def __init__(self) -> None:
        self.asked = threading.Event()

    def next(self) -> dict[str, float] | None:
        assert self.asked.wait(20)
        raise CommandFailed("it was killed by SIGTERM", 143)

    def ask_to_end(self) -> None:
        self.asked.set()

    def stop(self) -> bool:
        return True


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> LineSink:
    monkeypatch.setattr(trial_module, "ray", SimpleNamespace(get=lambda value: value))
    return LineSink()


def trial(sink: LineSink, work: PlayedWork | None) -> Trial:
    made: Trial = Trial.__new__(Trial)
    made._trial_info = SimpleNamespace(trial_id="a")
    made._experiment, made._reports, made._work = LAUNCH, Reports("loss"), work
    made._ending, made._idle, made._is_stopped = threading.Event(), threading.Event(), False
    made._longest, made._run, made._noting, made._seen = 100, None, None, (0, 0)
    made._sink = SimpleNamespace(leave=Remote(sink.leave), begin=Remote(sink.begin))
    return made


def test_a_worker_hears_that_it_alone_is_stopped_and_then_that_all_end() -> None:
    sink = LineSink()
    sink.stop("a")
    assert [sink.told(one) for one in ("a", "b")] == [STOP, ""]
    assert sink.begin("a") and not sink.begin("b")  # one that begins again does not begin its work
    sink.end()
    assert [sink.told(one) for one in ("a", "b")] == [END, END]


def test_each_process_asks_for_the_trial_that_it_runs_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "ray", SimpleNamespace(get=lambda value: value))
    monkeypatch.setattr(lines, "ASK_SECONDS", 0.001)
    sink, now, heard, ended = LineSink(), ["a"], [], threading.Event()
    sink.stop("b")

    def stop(name: str) -> None:
        heard.append(name)
        sink.end()

    lines.when_told(SimpleNamespace(told=Remote(sink.told)), lambda: now[0], stop, ended.set)
    now[0] = "b"
    assert ended.wait(20) and set(heard) == {"b"}


def test_a_command_that_is_stopped_gives_its_last_result(sink: LineSink) -> None:
    work = PlayedWork()
    one = trial(sink, work)
    one._reports.add([("loss", 0.5)])
    threading.Timer(0.01, one._stop, ["a"]).start()
    result = one.step()
    assert result["done"] and result[f"{LOGGED}loss"] == 0.5 and ENDED not in result


def test_a_failure_of_its_own_stays_one(sink: LineSink) -> None:
    work = PlayedWork()
    one = trial(sink, work)
    one._stop("b")  # the trial that this process ran before
    work.asked.set()
    with pytest.raises(CommandFailed, match="SIGTERM"):
        one.step()


def test_what_does_not_end_in_its_time_of_grace_ends_with_its_process(
    sink: LineSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(trial_module, "STOP_SECONDS", 0.01)
    monkeypatch.setattr(trial_module.os, "_exit", left.append)
    one = trial(sink, PlayedWork())
    sink.begin("a")
    one._stop("a")
    assert left == [ENDED_STATUS] and sink.at_work() == 0


@pytest.fixture
def sweep() -> Any:
    made = Sweep(LAUNCH, TUNE, Wishes(LAUNCH, TUNE), SimpleNamespace(stop=Remote(lambda _: None)))
    sweep_module.follow(made)
    yield made
    sweep_module._current = None


def ended(trial_id: str, **result: Any) -> Any:
    return SimpleNamespace(
        trial_id=trial_id, status="TERMINATED", last_result=result, config={"params": {}}, checkpoint=None
    )


def test_the_driver_calls_it_stopped_however_it_ended(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    written: list[dict[str, str]] = []
    sweep._write = lambda _id, _params, tags, _status: written.append(tags)  # type: ignore[method-assign]
    sweep.wishes.stopped = frozenset({"a", "b", "c"})
    sweep.stepped()
    assert Rules(TUNE)("a", {REPORTS: 1}) and not Rules(TUNE)("d", {REPORTS: 1})
    one, other, done = ended("a", **{REPORTS: 1}), ended("b"), ended("c", **{REPORTS: 1, ENDED: True})
    trials = [one, other, done]
    sweep.ended(trials, one, sweep.state(one))
    sweep.ended(trials, other, TrialState.FAILED, "its process or node died")
    sweep.ended(trials, done, sweep.state(done))  # it ended by itself before it heard
    assert [sweep.states[id] for id in ("a", "b", "c")] == ["Stopped", "Stopped", "Succeeded"]
    assert [tags["submarine.trial_message"] for tags in written] == [BY_USER, BY_USER, ""]
    assert sweep.failures == {} and "trial b Stopped" in capsys.readouterr().out
    assert "users stopped its trials" in sweep.why_none([ended("a"), ended("b")])
