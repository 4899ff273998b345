"""The runner's failures: each ends the attempt with its own exit code and one sentence for the user."""

from __future__ import annotations

from submarine_ray.spec.launch import BEGUN_BEFORE_STATUS, NOT_REACHED_STATUS

CODE_SYNC_STATUS = 70  # the runner's exit status where code could not be fetched


class RunnerError(Exception):
    """Base; `code` is the runner's exit status. Pickles whole, so that it crosses from actor to driver."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message


class InvalidLaunch(RunnerError):
    """The runner was started with something it cannot run."""


class BegunBefore(RunnerError):
    """The attempt was begun by another run, or is no longer wanted."""

    def __init__(self, message: str, code: int = BEGUN_BEFORE_STATUS) -> None:
        super().__init__(message, code)


class ServiceNotReached(RunnerError):
    """What the attempt is to run could not be fetched from the control service."""

    def __init__(self, message: str, code: int = NOT_REACHED_STATUS) -> None:
        super().__init__(message, code)


class CodeSyncFailed(RunnerError):
    """The code could not be fetched. What its URLs have to sign in is not told: git and fsspec quote them whole."""

    def __init__(self, message: str, code: int = CODE_SYNC_STATUS) -> None:
        from submarine_ray.spec import masks  # few starts fail, and each would wait for its patterns

        super().__init__(masks.text(message), code)


class CommandFailed(RunnerError):
    """A replica's command failed or could not start."""


class ReplicaLost(RunnerError):
    """A replica's actor died with its worker process or node."""
