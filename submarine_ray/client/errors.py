"""What the SDK raises."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Base of everything that the SDK raises."""


class ServiceUnreachable(ClientError):
    """The control service does not answer."""


class ApiError(ClientError):
    """The control service refused: `code` is the HTTP status, the text says why."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class ExperimentFailed(ClientError):
    """The experiment has failed."""

    def __init__(self, experiment: dict[str, Any]) -> None:
        from submarine_ray.spec.experiment import ExperimentStatus  # pydantic, which the runner must not wait for

        self.experiment = experiment
        why = experiment.get("message") or experiment.get("reason") or "no reason given"
        super().__init__(f"{experiment.get('experimentId')} is {ExperimentStatus.seen_of(experiment)}: {why}")


class EndpointFailed(ClientError):
    """The endpoint could not be deployed."""

    def __init__(self, endpoint: dict[str, object]) -> None:
        self.endpoint = endpoint
        super().__init__(f"{endpoint.get('name')} failed: {endpoint.get('message') or 'no reason given'}")
