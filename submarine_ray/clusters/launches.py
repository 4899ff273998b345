"""Launches that jobs fetch with a ticket, on clusters where others can read the records of jobs.

A launch holds the users' variables, passwords and tokens. Such a cluster is given a ticket in its place: the job's
runner fetches the launch with it, once. Whoever finds the ticket later, in a job's record or an agent's log, finds it
spent.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters import repository
from submarine_ray.core.clock import due_ms
from submarine_ray.core.database import Database
from submarine_ray.core.secrets import SecretBox
from submarine_ray.spec.launch import Launch
from submarine_ray.spec.ledger import Beginning

# How long a job may wait in its cluster, for its packages or for room, before it fetches its launch.
TICKET_MS = 24 * 3_600_000
# How long the run that has fetched it may ask again: its first answer may have been lost on the way.
AGAIN_MS = 120_000
# What jobs left that nobody has cleaned up.
FORGOTTEN_MS = 7 * TICKET_MS

SPENT = (
    "its launch has been fetched before: the cluster started it again, or somebody else has read its ticket in the "
    "job's record and was faster"
)


@dataclass(frozen=True)
class Answer:
    """The launch as JSON; or why it is not handed out."""

    launch: str | None = None
    why: str | None = None


class Launches:
    """Keeps launches sealed until they are fetched; `url` is where clusters find this service."""

    def __init__(self, database: Database, secrets: SecretBox, tokens: Tokens, url: str) -> None:
        self._database = database
        self._secrets = secrets
        self.tokens = tokens
        self.url = url

    def keep(self, launch: Launch) -> str:
        """Have it ready; its ticket. Keeping it once more changes nothing once it has been fetched."""
        sealed = self._secrets.seal(launch.dumps())
        with self._database.session(write=True) as session:
            repository.drop_launches(session, before_ms=due_ms() - FORGOTTEN_MS)
            repository.keep_launch(session, launch.submission_id, sealed)
        return self.tokens.issue(PrincipalKind.TICKET, launch.submission_id)

    def take(self, submission: str, run: str) -> Answer:
        """Hand it out: to the first run that asks, and to that one again for a while."""
        with self._database.session(write=True) as session:
            row = repository.take_launch(session, submission, run)
            if row is None:
                return Answer(why="there is nothing to run for it any more")
            now, made, taken, sealed, first = due_ms(), row.made_ms, row.taken_ms or 0, row.sealed, row.run
        if first != run or now - taken > AGAIN_MS:
            return Answer(why=SPENT)
        if taken - made > TICKET_MS:
            return Answer(why=f"its ticket was good for {TICKET_MS // 3_600_000} hours, and it started later than that")
        return Answer(self._secrets.open(sealed))

    def handed_out(self, unwanted: str | None, submission: str, run: str) -> Beginning:
        """The answer to a runner that asks with its ticket; `unwanted` is why nobody wants the job any more."""
        answer = Answer(why=unwanted) if unwanted else self.take(submission, run)
        launch = json.loads(answer.launch) if answer.launch else None
        return Beginning(may_begin=launch is not None, why=answer.why, launch=launch)

    def waiting(self, submissions: Collection[str]) -> set[str]:
        """Those that nobody has fetched yet."""
        if not submissions:
            return set()
        with self._database.session() as session:
            return repository.waiting_launches(session, submissions)

    def forget(self, submission: str) -> None:
        """The job has ended."""
        with self._database.session(write=True) as session:
            repository.drop_launch(session, submission)

    def purge(self, experiment_id: str) -> None:
        """The experiment is deleted."""
        with self._database.session(write=True) as session:
            repository.drop_launches_of(session, experiment_id)
