"""How a launch reaches a cluster whose records others may read: nothing of it is in what is sent there."""

from __future__ import annotations

import io
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from submarine_ray.access.principals import Principal, PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters import launches as module
from submarine_ray.clusters.drivers.base import AlreadySubmitted, Job, JobState, Submission
from submarine_ray.clusters.drivers.ray_jobs import Dashboard, RayJobs
from submarine_ray.clusters.drivers.unfetched import LATE_MS, unfetched
from submarine_ray.clusters.launches import Launches
from submarine_ray.clusters.tables import LaunchRow
from submarine_ray.core.clock import now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.runner import __main__ as runner
from submarine_ray.runner import ledger
from submarine_ray.runner.errors import BegunBefore, ServiceNotReached
from submarine_ray.spec.launch import (
    BEGIN_VARIABLE,
    NOT_REACHED_STATUS,
    TICKET_VARIABLE,
    Code,
    Launch,
    Notebook,
    Replica,
    Tracking,
)
from tests.packages import packages_at

SECRETS = (
    "planted-variable",
    "planted-token",
    "planted-password",
    "planted-user",
    "planted-notebook",
    "planted-command",
)
LAUNCH = Launch(
    "experiment-1-0001", "experiment-1-0001-r2", "name", "Python",
    (Replica("worker", 0, "python --key planted-command", env={"KEY": "planted-variable"}, cpu=1),),
    code=Code("git", "https://example.org/x.git", username="planted-user", password="planted-password"),
    tracking=Tracking("http://s/mlflow", "run", "1", "planted-token"), service_url="http://s",
)  # fmt: skip
NOTEBOOK = replace(LAUNCH, experiment_id="notebook-1", submission_id="notebook-1", code=None,
                   notebook=Notebook("a/b", "/notebook/a/b", "planted-notebook"))  # fmt: skip


@pytest.fixture
def launches(tmp_path: Path) -> Iterator[Launches]:
    database = Database(f"sqlite:///{tmp_path}/l.db")
    database.migrate()
    yield Launches(database, SecretBox(tmp_path / "key"), Tokens(b"key"), "http://s")
    database.close()


@pytest.fixture
def sent(launches: Launches, tmp_path: Path) -> tuple[RayJobs, list[httpx.Request]]:
    """A driver of a cluster elsewhere, and what it has sent there."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.method == "POST" and len([one for one in asked if one.method == "POST"]) > 2:
            return httpx.Response(
                500, text=f"ValueError: Job with submission_id {LAUNCH.submission_id} already exists."
            )
        return httpx.Response(200, json={})

    jobs = RayJobs(Dashboard("http://ray"), packages_at(tmp_path / "packages"), 5, launches=launches)
    jobs._http = httpx.Client(base_url="http://ray", transport=httpx.MockTransport(answer))
    return jobs, asked


def test_a_cluster_elsewhere_gets_a_ticket_and_nothing_else(
    sent: tuple[RayJobs, list[httpx.Request]], launches: Launches
) -> None:
    jobs, asked = sent
    for launch in (LAUNCH, NOTEBOOK):
        asked.clear()
        jobs.submit(Submission(replace(launch, replicas=(replace(launch.replicas[0], command="x " * 200_000),))))
        jobs.submit(Submission(launch))
        for request in asked:
            whole = request.content.decode(errors="replace") + str(request.headers) + str(request.url)
            assert not [secret for secret in SECRETS if secret in whole]
        body = json.loads(asked[-1].content)
        variables = body["runtime_env"]["env_vars"]
        assert set(variables) == {BEGIN_VARIABLE, TICKET_VARIABLE, "RAY_JOB_STOP_WAIT_TIME_S"}
        url = urlsplit(variables[BEGIN_VARIABLE])
        assert url.path.endswith(f"/{launch.experiment_id}/begin") and url.path.split("/")[3] in (
            "experiment",
            "notebook",
        )
        assert parse_qs(url.query) == {"submission": [launch.submission_id]}
        ticket = launches.tokens.read(variables[TICKET_VARIABLE])
        assert ticket == Principal(PrincipalKind.TICKET, launch.submission_id)
        found = launches.take(launch.submission_id, "a")
        assert found.launch and Launch.loads(found.launch).replicas == launch.replicas


def test_submitting_twice_keeps_what_was_fetched(sent: tuple[RayJobs, list[httpx.Request]], launches: Launches) -> None:
    jobs, _ = sent
    jobs.submit(Submission(LAUNCH))
    assert launches.take(LAUNCH.submission_id, "a").launch
    jobs.submit(Submission(LAUNCH))
    with pytest.raises(AlreadySubmitted):
        jobs.submit(Submission(LAUNCH))
    assert launches.take(LAUNCH.submission_id, "b").launch is None


def test_it_is_sealed_at_rest_and_gone_with_its_job(launches: Launches, sent: Any) -> None:
    launches.keep(LAUNCH)
    with launches._database.session() as session:
        sealed = session.get(LaunchRow, LAUNCH.submission_id).sealed  # type: ignore[union-attr]
    assert not [secret for secret in SECRETS if secret in sealed]
    assert "planted-password" in str(launches.take(LAUNCH.submission_id, "a").launch)
    sent[0].delete(LAUNCH.submission_id)
    assert "nothing to run" in str(launches.take(LAUNCH.submission_id, "a").why)
    others = [replace(LAUNCH, submission_id=f"experiment-1-0001{end}") for end in ("", "-r3", "0")]
    for launch in others:
        launches.keep(launch)
    sent[0].purge(LAUNCH.experiment_id)
    assert launches.waiting([launch.submission_id for launch in others]) == {"experiment-1-00010"}


def test_of_many_that_ask_at_once_one_gets_it_and_may_ask_again(launches: Launches) -> None:
    launches.keep(LAUNCH)
    given: dict[str, str | None] = {}
    threads = [
        threading.Thread(target=lambda n=n: given.update({n: launches.take(LAUNCH.submission_id, n).launch}))
        for n in map(str, range(8))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    (first,) = [run for run, launch in given.items() if launch]
    assert len(given) == 8 and launches.take(LAUNCH.submission_id, first).launch
    assert "fetched before" in str(launches.take(LAUNCH.submission_id, "another").why)


def test_the_run_that_has_it_may_ask_again_for_a_while_only(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches.keep(LAUNCH)
    assert launches.take(LAUNCH.submission_id, "a").launch
    monkeypatch.setattr(module, "AGAIN_MS", -1)
    assert launches.take(LAUNCH.submission_id, "a").launch is None


def test_a_ticket_ends_a_day_after_its_submission(launches: Launches, monkeypatch: pytest.MonkeyPatch) -> None:
    launches.keep(LAUNCH)
    with launches._database.session(write=True) as session:
        session.get(LaunchRow, LAUNCH.submission_id).made_ms -= module.TICKET_MS + 1000  # type: ignore[union-attr]
    assert "24 hours" in str(launches.take(LAUNCH.submission_id, "a").why)
    monkeypatch.setattr(module, "FORGOTTEN_MS", 0)
    launches.keep(NOTEBOOK)  # and is swept away in the end, if nobody puts its job away
    assert "nothing to run" in str(launches.take(LAUNCH.submission_id, "a").why)


def test_a_job_that_cannot_fetch_what_it_runs_says_why(launches: Launches) -> None:
    for name in ("late", "young", "fetched"):
        launches.keep(replace(LAUNCH, submission_id=name))
    launches.take("fetched", "a")
    started = {"late": now_ms() - LATE_MS - 1000, "young": now_ms(), "fetched": now_ms() - 3_600_000, "other": 1}
    jobs = {name: Job(name, JobState.RUNNING, start_ms=start) for name, start in started.items()}
    found = unfetched(jobs, Launches(launches._database, launches._secrets, launches.tokens, "http://127.0.0.1:32080"))
    assert [name for name, job in found.items() if job.problem] == ["late"]
    problem = found["late"].problem
    assert problem and problem.reason == "ServiceNotReached"
    assert "SUBMARINE_PUBLIC_URL" in problem.message and "leads each machine to itself" in problem.message


class Service:
    """Answers the runner, one answer after the other; the last again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[urllib.request.Request] = []

    def __call__(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(json.dumps({"result": answer}).encode())


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(*answers: Any) -> Service:
        made = Service(*answers)
        monkeypatch.setattr(urllib.request, "urlopen", made)
        monkeypatch.setattr(ledger, "PAUSE_SECONDS", 0.0)
        monkeypatch.setenv(TICKET_VARIABLE, "the-ticket")
        monkeypatch.setenv(BEGIN_VARIABLE, "http://s/api/v1/experiment/e/begin?submission=e")
        return made

    return make


GIVEN = {"mayBegin": True, "why": None, "launch": json.loads(LAUNCH.dumps())}


def test_the_runner_fetches_its_launch_and_forgets_its_ticket(service: Any) -> None:
    asked = service(urllib.error.URLError("refused"), GIVEN).asked
    launch, is_own = runner._launch(runner._parse([]))
    assert (launch, is_own) == (LAUNCH, False)
    assert asked[0].get_header("Authorization") == "Bearer the-ticket" and asked[0].get_method() == "POST"
    assert len({request.full_url for request in asked}) == 1 and "&run=" in asked[0].full_url
    assert not {TICKET_VARIABLE, BEGIN_VARIABLE} & set(runner.os.environ)


def test_a_spent_ticket_ends_the_run_as_one_that_has_begun_before(service: Any) -> None:
    service({"mayBegin": False, "why": module.SPENT, "launch": None})
    with pytest.raises(BegunBefore, match="somebody else has read its ticket"):
        runner._launch(runner._parse([]))


def test_a_service_that_is_away_is_waited_for_and_then_said(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ledger, "FETCH_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(ledger, "NOTICE_SECONDS", 0.01)
    monkeypatch.setattr(ledger, "ANSWER_SECONDS", 0.0)
    asked = service(urllib.error.URLError("refused")).asked
    assert runner.main([]) == NOT_REACHED_STATUS
    said = capsys.readouterr().out
    assert "waiting for the service at http://s" in said and "SUBMARINE_PUBLIC_URL" in said and len(asked) > 1
    assert "[submarine] the attempt failed: what it is to run could not be fetched from http://s" in said


@pytest.mark.parametrize("answer", [401, 403, 404, {"mayBegin": True, "why": None, "launch": None}])
def test_a_service_that_knows_no_such_ticket_is_not_asked_again(service: Any, answer: Any) -> None:
    if isinstance(answer, int):
        body = io.BytesIO(b'{"message": "This token is nobody\'s."}')
        answer = urllib.error.HTTPError("http://s", answer, "no", Message(), body)
    made = service(answer)
    with pytest.raises(ServiceNotReached, match="could not be fetched from http://s"):
        runner._launch(runner._parse([]))
    assert len(made.asked) == 1
