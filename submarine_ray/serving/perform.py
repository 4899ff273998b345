"""Endpoints on the engine (core/engine/): a row is a cluster, and a step brings its Serve to the desired state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.admission.service import Admission
from submarine_ray.clusters.drivers.base import ClusterError, Fence, SubmissionRefused, Superseded
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core import leases
from submarine_ray.core.database import Database
from submarine_ray.core.engine.feature import Outcome
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee
from submarine_ray.serving import applications, decide, repository, room
from submarine_ray.serving.decide import Forget, Note, Observed, Put, Step
from submarine_ray.serving.repository import Noted
from submarine_ray.serving.service import holder
from submarine_ray.serving.tables import EndpointRow, ServingRow, split_name
from submarine_ray.spec.serving import EndpointStatus

log = structlog.get_logger(__name__)


class Serving:
    """What each cluster's Serve has, looked at and put by the engine."""

    name = "serving"
    table = ServingRow
    expected: tuple[type[Exception], ...] = (ClusterError, SubmarineError)

    def __init__(
        self,
        database: Database,
        clusters: ClusterService,
        admission: Admission,
        lessee: Lessee,
        tracking_uri: str,
        tokens: Tokens,
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._admission = admission
        self._clock = lessee.clock
        self._tracking_uri = tracking_uri
        self._tokens = tokens

    def ready(self) -> None:
        """Nothing to prepare before a tick."""

    def observe(self, cluster: str, rows: Sequence[ServingRow]) -> Observed:
        """The cluster's desired state, read under the lease of its row, and its observed state."""
        with self._database.session() as session:
            endpoints = repository.on_cluster(session, cluster)
            traffic = repository.list_traffic(session, cluster)
        if not endpoints and cluster not in self._clusters.names():
            return Observed(is_registered=False)
        driver, capacity = self._clusters.driver_and_capacity(cluster)
        staying = [row for row in endpoints if row.status != EndpointStatus.DELETING]
        serve = driver.applications()
        splits = {row.model_name: applications.split_of(row, staying, len(capacity.nodes)) for row in traffic}
        unread = [split_name(model) for model, split in splits.items() if split is None]
        there = [serve["applications"].get(name, {}).get("deployed_app_config") for name in unread]
        config = applications.configuration(
            [self._desired(row) for row in staying],
            [split for split in splits.values() if split],
            self._tracking_uri,
            self._clusters.addresses.serve_http_options(cluster),
            partial(self._clusters.addresses.serve_hosts, cluster),
            [application for application in there if application],
        )
        shown = {row.name: decide.shown(row.name, serve, row.status, row.replicas) for row in staying}
        shares = self._clusters.capabilities(cluster).shares_serve
        return Observed(
            endpoints,
            traffic,
            config,
            applications.digest(config),
            serve,
            capacity.total,
            self._admission.in_use(cluster),
            {row.name for row in staying if self._answers(row, shown[row.name][0])},
            {
                row.name: self._admission.why_waiting(cluster, row.each, holder(row))
                for row in staying
                if shares and room.waits(shown[row.name][1])
            },
        )

    def decide(self, row: ServingRow, observed: Observed) -> Step:
        return decide.next_step(row, observed)

    def is_note(self, step: Step) -> bool:
        return not isinstance(step, Put)

    def perform(self, row: ServingRow, step: Step, observed: Observed) -> Outcome:
        if isinstance(step, Forget):
            return Outcome(remove=True)
        if isinstance(step, Note):
            return Noted(self._again(step.pause_ms), (), False, step.endpoints, step.traffic, step.ended)
        driver = self._clusters.driver(row.cluster)
        fence = Fence(row.generation, step.digest, partial(self._is_held, row))
        try:
            driver.put_applications(step.config, fence)
        except SubmissionRefused as failure:
            refused = decide.refused(observed, str(failure))
            return Noted(self._again(decide.STEADY), endpoints=refused)
        except Superseded as failure:
            log.warning("serving.superseded", cluster=row.cluster, why=str(failure))
            # A number that this database has not counted yet: it was restored, or another one was in its place.
            outdone = {} if failure.number is None else {"generation": failure.number + 1}
            return Outcome(self._again(0) | outdone)
        rows = {one.name: one for one in observed.staying}
        told = [
            (rows[one.name], Event("ReplacedInPlace", one.message, rows[one.name].status, rows[one.name].status))
            for one in step.cramped
        ]
        return Noted(self._again(decide.TOLD), told=told)

    def failed(self, row: ServingRow, step: Step | None, failure: Exception) -> Outcome | None:
        """Tried again by the engine."""
        return None

    write = staticmethod(repository.write)

    def written(self, row: ServingRow, outcome: Outcome) -> None:
        if isinstance(outcome, Noted):
            for endpoint, status, _ in outcome.endpoints:
                log.info("endpoint.status", endpoint=endpoint.name, to=status)
            for endpoint, _ in outcome.told:
                log.info("endpoint.replaced_in_place", endpoint=endpoint.name)

    def _again(self, pause_ms: int) -> dict[str, int]:
        return {"next_check_ms": self._clock.due_ms() + pause_ms}

    def _is_held(self, claimed: ServingRow) -> bool:
        with self._database.session() as session:
            return leases.is_held(session, claimed, self._clock.due_ms())

    def _answers(self, row: EndpointRow, shown: str) -> bool:
        """Whether an endpoint answers that Serve begins to call running; later its health is Serve's business."""
        if shown != EndpointStatus.RUNNING or row.status == EndpointStatus.RUNNING:
            return False
        path = f"{applications.route(row.model_name, row.model_version)}/v2/health/ready"
        return self._clusters.addresses.serve_answers(row.cluster, row.name, path)

    def _desired(self, row: EndpointRow) -> applications.Desired:
        is_on_disk = row.model_uri.startswith("/")
        token = None if is_on_disk else self._tokens.issue(PrincipalKind.ENDPOINT, row.name)
        size = (row.replicas, row.cpu, row.gpu, row.memory)
        return applications.Desired(row.name, row.model_name, row.model_version, row.model_uri, *size, token)
