"""Machine learning on Ray: experiments, tracking, models and serving.

    import submarine_ray as submarine

    handle = submarine.run("python train.py", workers=2, working_dir=".")
    handle.wait()

Importing this pulls in neither Ray nor torch nor MLflow: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from submarine_ray.client.environments import EnvironmentClient
    from submarine_ray.client.errors import ApiError, ClientError, EndpointFailed, ExperimentFailed, ServiceUnreachable
    from submarine_ray.client.experiments import ExperimentClient
    from submarine_ray.client.media import (
        log_audio,
        log_confusion_matrix,
        log_figure,
        log_histogram,
        log_image,
        log_pr_curve,
        log_roc_curve,
        log_table,
        log_text,
    )
    from submarine_ray.client.models import ModelClient, ServeClient
    from submarine_ray.client.models_client import ModelsClient
    from submarine_ray.client.notebooks import NotebookClient
    from submarine_ray.client.notices import NoticeClient
    from submarine_ray.client.remote_log import RemoteLog, remote_log
    from submarine_ray.client.reports import create_report, panel
    from submarine_ray.client.run import ExperimentHandle, run
    from submarine_ray.client.saved import SavedClient
    from submarine_ray.client.search import SearchClient
    from submarine_ray.client.submarine_client import SubmarineClient
    from submarine_ray.client.templates import TemplateClient
    from submarine_ray.client.tracking import get_tracking_uri, log_metric, log_param, save_model, set_tracking_uri
    from submarine_ray.client.tune import SweepHandle, tune

__all__ = [
    "ApiError",
    "ClientError",
    "EndpointFailed",
    "EnvironmentClient",
    "ExperimentClient",
    "ExperimentFailed",
    "ExperimentHandle",
    "ModelClient",
    "ModelsClient",
    "NotebookClient",
    "NoticeClient",
    "RemoteLog",
    "SavedClient",
    "SearchClient",
    "ServeClient",
    "ServiceUnreachable",
    "SubmarineClient",
    "SweepHandle",
    "TemplateClient",
    "create_report",
    "get_tracking_uri",
    "log_audio",
    "log_confusion_matrix",
    "log_figure",
    "log_histogram",
    "log_image",
    "log_metric",
    "log_param",
    "log_pr_curve",
    "log_roc_curve",
    "log_table",
    "log_text",
    "panel",
    "remote_log",
    "run",
    "save_model",
    "set_tracking_uri",
    "tune",
]

_HOMES = {
    "ApiError": "errors",
    "ClientError": "errors",
    "EndpointFailed": "errors",
    "ExperimentFailed": "errors",
    "ServiceUnreachable": "errors",
    "EnvironmentClient": "environments",
    "ExperimentClient": "experiments",
    "ExperimentHandle": "run",
    "ModelClient": "models",
    "ModelsClient": "models_client",
    "SubmarineClient": "submarine_client",
    "NotebookClient": "notebooks",
    "SavedClient": "saved",
    "NoticeClient": "notices",
    "create_report": "reports",
    "panel": "reports",
    "SearchClient": "search",
    "ServeClient": "models",
    "TemplateClient": "templates",
    "run": "run",
    "get_tracking_uri": "tracking",
    "log_audio": "media",
    "log_confusion_matrix": "media",
    "log_figure": "media",
    "log_histogram": "media",
    "log_image": "media",
    "log_pr_curve": "media",
    "log_roc_curve": "media",
    "log_table": "media",
    "log_text": "media",
    "log_metric": "tracking",
    "log_param": "tracking",
    "RemoteLog": "remote_log",
    "remote_log": "remote_log",
    "save_model": "tracking",
    "set_tracking_uri": "tracking",
    "SweepHandle": "tune",
    "tune": "tune",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'submarine_ray' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"submarine_ray.client.{_HOMES[name]}"), name)
    globals()[name] = value  # the next use finds it without asking here
    return value
