"""What is known of the holders of tokens, and of what they ask for: the facts that scopes are decided from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

KNOWN_SECONDS = 2.0
MOST_KNOWN = 10_000

Found = TypeVar("Found")


@dataclass(frozen=True)
class Attempt:
    """An attempt that may still be running. `package` is the digest of its uploaded code, `mlflow_id` says below which
    of MLflow's experiments its run is.
    """

    experiment_id: str
    submission: str
    run_id: str | None = None
    package: str | None = None
    mlflow_id: str | None = None


@dataclass(frozen=True)
class Served:
    """The model version that an endpoint answers for."""

    model_name: str
    model_version: int


@dataclass(frozen=True)
class Holders:
    """Whether the holder of a token is still there, and what is its own; each is asked on a thread.

    `attempt` by its submission id: None once it has ended, or another has followed it. `notebook` by its id: whether it
    is wanted. `endpoint` by its name: None once nobody wants it any more.
    """

    attempt: Callable[[str], Attempt | None]
    notebook: Callable[[str], bool]
    endpoint: Callable[[str], Served | None]


class Runs(Protocol):
    """Whose MLflow's runs, models and files are. Asked on threads."""

    def owner(self, run_id: str) -> str | None:
        """The experiment that a run belongs to; None for one that is nobody's, or is not there."""

    def owner_of_model(self, model_id: str) -> str | None:
        """The experiment whose run saved a model."""

    def owner_of_files(self, path: str) -> str | None:
        """The experiment that an artifact belongs to, by its path below the artifact root."""

    def owner_of_version(self, name: str, version: str) -> str | None:
        """The experiment that a version of a registered model comes from."""

    def is_registered(self, path: str) -> bool:
        """Whether an artifact is part of a registered version."""

    def is_registered_model(self, model_id: str) -> bool:
        """Whether a saved model is a registered version."""

    def is_served(self, path: str, served: Served) -> bool:
        """Whether an artifact is part of this very version."""

    def is_served_model(self, model_id: str, served: Served) -> bool:
        """Whether a saved model is this very version."""

    def narrowed(self, filter: str, experiment_id: str) -> str:
        """A search's filter that finds runs of the experiment alone. Raises ValueError for one that cannot be read."""

    def narrowed_experiments(self, filter: str, mlflow_id: str) -> str:
        """The same for a search of MLflow's experiments: it finds this one alone."""

    def narrowed_models(self, filter: str, experiment_id: str, run_id: str) -> str:
        """The same for a search of saved models."""


class Remembered:
    """Asks for each holder once in two seconds: thousands of requests a second are one question."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._known: dict[tuple[str, str], tuple[float, object]] = {}
        self._lock = threading.Lock()

    def attempt(self, submission: str) -> Attempt | None:
        """See Holders; so of the others."""
        return self._ask("attempt", submission, self._holders.attempt)

    def notebook(self, notebook_id: str) -> bool:
        """See Holders."""
        return self._ask("notebook", notebook_id, self._holders.notebook)

    def endpoint(self, name: str) -> Served | None:
        """See Holders."""
        return self._ask("endpoint", name, self._holders.endpoint)

    def _ask(self, kind: str, name: str, ask: Callable[[str], Found]) -> Found:
        known = self._known.get((kind, name))
        if known and time.monotonic() < known[0]:
            return known[1]  # type: ignore[return-value]
        found = ask(name)
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[kind, name] = (time.monotonic() + KNOWN_SECONDS, found)
        return found
