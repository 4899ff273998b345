"""The kinds of saved documents: a line for each, with the model that its documents must fit."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from submarine_ray.spec.panels import ArrangedCharts, Workspace
from submarine_ray.spec.reports import Report
from submarine_ray.spec.views import DefaultView, ExperimentView

VIEWS = "experiment-view"
DEFAULT_VIEW = "experiment-view-default"
WORKSPACES = "workspace"
REPORTS = "report"
METRIC_CHARTS = "metric-charts"

KINDS: Mapping[str, type[BaseModel]] = {
    VIEWS: ExperimentView,
    DEFAULT_VIEW: DefaultView,
    WORKSPACES: Workspace,
    REPORTS: Report,
    METRIC_CHARTS: ArrangedCharts,
}
