"""Everything that one control service holds: settings -> database -> services -> background work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from submarine_ray.access.exposure import Exposure
from submarine_ray.access.sessions import Sessions
from submarine_ray.access.tokens import PURPOSE, Tokens
from submarine_ray.access.tombstones import Tombstones
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.perform import Upkeep
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core import sealed
from submarine_ray.core.changes import Changes
from submarine_ray.core.clock import CLOCK, iso, now_ms
from submarine_ray.core.database import Database
from submarine_ray.core.engine.engine import Bounds, Engine
from submarine_ray.core.follower import Follower
from submarine_ray.core.health import Health, Report, Watched
from submarine_ray.core.instance import Instance
from submarine_ray.core.leases import Lessee
from submarine_ray.core.loop import Loop
from submarine_ray.core.secrets import SecretBox
from submarine_ray.core.settings import Settings
from submarine_ray.environments.service import EnvironmentService
from submarine_ray.experiments import passwords
from submarine_ray.experiments.attempts import Attempts
from submarine_ray.experiments.feature import ExperimentFeature
from submarine_ray.experiments.perform import Performer
from submarine_ray.experiments.service import ExperimentService
from submarine_ray.experiments.spool import Spools
from submarine_ray.experiments.submit import Submitter
from submarine_ray.experiments.tidying import Tidying
from submarine_ray.experiments.values.upkeep import ValueUpkeep
from submarine_ray.models.service import ModelService
from submarine_ray.notebooks.launching import Launching
from submarine_ray.notebooks.perform import Notebooks
from submarine_ray.notebooks.service import NotebookService
from submarine_ray.notices.service import NoticeService
from submarine_ray.packages.service import PackageService
from submarine_ray.packages.store import PackageStore
from submarine_ray.saved.service import SavedService
from submarine_ray.search import sources
from submarine_ray.search.help import Help
from submarine_ray.search.service import SearchService
from submarine_ray.serving.meter import Meter
from submarine_ray.serving.perform import Serving
from submarine_ray.serving.service import ServingService
from submarine_ray.serving.traffic import TrafficService
from submarine_ray.spec.answers.health import ClockJump, ServiceHealth
from submarine_ray.spec.places import ObjectKind
from submarine_ray.templates import library
from submarine_ray.templates.service import TemplateService
from submarine_ray.tracking.service import TrackingService
from submarine_ray.tracking.tensorboard import TensorBoard

VERSION = version("submarine-ray")
# A log of hundreds of MiB keeps a worker for minutes: some of them leave others to the submissions of their cluster.
EXPERIMENT_BOUNDS = Bounds(steps_of_cluster=8)


class Background(Protocol):
    """Work that runs beside the requests."""

    def start(self) -> None:
        """Begin, in a thread of its own."""

    def stop(self) -> None:
        """End after the step under way."""


class Platform:
    """Everything that one control service holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        home = settings.layout
        self.instance = Instance(home.root / "run", settings.is_shared)
        self.name = self.instance.name
        secrets = SecretBox(home.secret_key, settings.secret_key.get_secret_value() if settings.secret_key else None)
        self.tokens = Tokens(secrets.derived(PURPOSE))
        self.database = Database(settings.sqlalchemy_url)
        sealed.use(self.database.engine, secrets)
        self._secrets = secrets
        self.sessions = Sessions(self.database, settings, secrets.derived("sign-in"))
        self.exposure = Exposure(settings)
        self.attempts = Attempts(self.database)
        self.content_key = secrets.derived("content")
        self._changes = Changes()
        self.tombstones = Tombstones(self.database)
        package_store = PackageStore(settings.package_directory or home.packages, settings.max_unpacked_bytes)
        self.packages = PackageService(package_store, self.tombstones)
        self.tracking = TrackingService(settings, self.tokens)
        self.tensorboard = TensorBoard(home.tensorboard)
        self.clusters = ClusterService(self.database, settings, secrets, self.packages, self.tokens)
        self.admission = Admission(self.database, self.clusters)
        self.environments = EnvironmentService(self.database)
        self.saved = SavedService(self.database)
        self.spools = Spools(home.spool_of(self.instance.number))
        self._add_features()
        self._add_engines(Lessee(self.name, int(settings.lease_seconds * 1000)))
        tidying = Tidying(self.database, self.packages, self.tombstones, home, self.notices.prune)
        self.housekeeping = Loop("housekeeping", tidying.tick)
        self.follower = Follower(self.database)
        self.follower.add(self._changes.tell_all)
        self.follower.add_look(self.sessions.look_at_watched)
        values = Loop("values", ValueUpkeep(self.database, self.tracking).tick)
        loops = (self.housekeeping, Loop("events", self.follower.tick), values)
        engines = (self.experiment_engine, self.notebook_engine, self.serving_engine, self.cluster_engine)
        self.background: tuple[Background, ...] = (*engines, *loops)
        self.loops: tuple[Loop, ...] = (
            self.experiment_engine.loop,
            self.notebook_engine.loop,
            self.serving_engine.loop,
            self.cluster_engine.loop,
            *loops,
        )
        self.health = Health(self._watched())
        self.started_ms = now_ms()

    def _add_features(self) -> None:
        """The services of the features; what they want done wakes the engines that `_add_engines` makes."""
        self.experiments = ExperimentService(
            self.database,
            self.clusters,
            self.packages,
            self.admission,
            self.tracking,
            self.environments,
            self._changes,
            lambda: self.experiment_engine.wake(),
            self.spools,
        )
        self.templates = TemplateService(self.database, self.experiments)
        self.models = ModelService(
            self.tracking,
            self.experiments.results.run_id,
            lambda name: self.serving.served(name),
            self.tombstones,
            self.experiments.provenance.of_run,
        )
        meter = Meter(self.database, self.clusters)
        self.serving = ServingService(
            self.database, self.clusters, self.admission, self.models, meter, lambda: self.serving_engine.wake()
        )
        self.traffic = TrafficService(self.database, self.clusters, meter, lambda: self.serving_engine.wake())
        self.notebooks = NotebookService(
            self.database,
            self.clusters,
            self.admission,
            self.environments,
            self._secrets,
            lambda: self.notebook_engine.wake(),
        )

        kept = sources.sources(
            self.experiments,
            self.models,
            self.serving,
            self.templates,
            self.environments,
            self.notebooks,
            self.clusters,
            self.saved,
        )
        self.search = SearchService(self.database, {**kept, ObjectKind.HELP: Help()})
        self.notices = NoticeService(self.database, self.search.names)

    def _add_engines(self, lessee: Lessee) -> None:
        """What brings the rows of each feature to what users want."""
        submitter = Submitter(self.database, self.clusters, self.tracking, self.settings.system_metrics_seconds)
        experiments = ExperimentFeature(
            self.database,
            self.clusters,
            self.admission,
            self.tracking,
            Performer(self.database, self.admission, self.tracking, self.spools, submitter),
            self._changes,
            lambda: self.experiment_engine.wake(),
        )
        self.experiment_engine = Engine(experiments, self.database, lessee, EXPERIMENT_BOUNDS)
        self.clusters.add_listener(self.experiment_engine.changes.add)
        serving = Serving(self.database, self.clusters, self.admission, lessee, self.tracking.uri, self.tokens)
        self.serving_engine = Engine(serving, self.database, lessee)
        self.cluster_engine = Engine(Upkeep(self.clusters), self.database, lessee)
        launching = Launching(self.settings, self._secrets, self.tokens, self.tracking.uri)
        notebooks = Notebooks(self.clusters, self.admission, self.notebooks, launching)
        self.notebook_engine = Engine(notebooks, self.database, lessee)

    def start(self) -> None:
        """Bring the schema up to date and begin the background work."""
        CLOCK.keep(self.instance.directory / "clock.json")
        self.spools.clear()
        with self.database.alone("submarine_start"):  # services that start together bring it there one after the other
            self.database.migrate()
            sealed.seal_all(self.database)
            passwords.bring_in(self.database, self._secrets)
            sealed.check_key(self.database)
            self.clusters.ensure_local()
            self.clusters.load_configurations()
            self.templates.load_library(library.load(self.packages))
        self.tracking.start()
        self.health.start()
        for work in self.background:
            work.start()

    def stop(self) -> None:
        self.health.stop()
        with ThreadPoolExecutor(len(self.background)) as pool:  # one whose cluster hangs takes no time from the others
            list(pool.map(lambda work: work.stop(), self.background))
        self.tracking.stop()
        self.tensorboard.stop()
        self.clusters.close()
        self.database.close()
        self.instance.release()

    def report(self, found: Report) -> ServiceHealth:
        """The answer to a request for the service's health."""
        silent = {loop.name: loop.silent_seconds() for loop in self.loops}
        return ServiceHealth(
            status="degraded" if found.problems else "ok",
            version=VERSION,
            started_time=iso(self.started_ms),
            database=found.database,
            tracking="up" if self.tracking.is_ready else "starting",
            problems=list(found.problems),
            clock_jumps=[ClockJump(time=iso(one.at_ms), seconds=round(one.by_ms / 1000, 1)) for one in CLOCK.jumps],
            seconds_since_tick={name: None if one is None else round(one, 1) for name, one in silent.items()},
        )

    def _watched(self) -> Watched:
        settings, home = self.settings, self.settings.layout
        packages, artifacts = settings.package_directory or home.packages, Path(settings.artifacts)
        places = {"the home directory": home.root, "packages": packages, "artifacts": artifacts}
        return Watched(
            service=self.name,
            databases={"The database": lambda: self.database, "MLflow's database": lambda: self.tracking.database},
            directories={name: path for name, path in places.items() if path.is_absolute() and path.is_dir()},
            free_bytes=settings.min_free_bytes,
            loops=self.loops,
        )
