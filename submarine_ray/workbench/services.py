"""What pages may call: the features' services, and nothing below them."""

from __future__ import annotations

from dataclasses import dataclass

from submarine_ray.admission.service import Admission
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.health import Health
from submarine_ray.core.settings import Settings
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.models.service import ModelService
from submarine_ray.notebooks.service import NotebookService
from submarine_ray.notices.service import NoticeService
from submarine_ray.packages.service import PackageService
from submarine_ray.saved.service import SavedService
from submarine_ray.search.service import SearchService
from submarine_ray.serving.service import ServingService
from submarine_ray.serving.traffic import TrafficService
from submarine_ray.templates.service import TemplateService
from submarine_ray.tracking.service import TrackingService


@dataclass(frozen=True, eq=False)
class Services:
    """One control service's features, for its pages."""

    settings: Settings
    version: str
    experiments: ExperimentService
    environments: EnvironmentService
    saved: SavedService
    templates: TemplateService
    models: ModelService
    notebooks: NotebookService
    serving: ServingService
    traffic: TrafficService
    clusters: ClusterService
    admission: Admission
    packages: PackageService
    tracking: TrackingService
    health: Health
    search: SearchService
    notices: NoticeService
