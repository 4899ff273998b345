"""Makes each cluster's Ray Serve what the rows say, under the cluster's lock."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import structlog

from submarine_ray.access.principals import PrincipalKind
from submarine_ray.access.tokens import Tokens
from submarine_ray.clusters.drivers.base import ClusterError, Driver, Fence, SubmissionRefused, Superseded
from submarine_ray.clusters.service import ClusterService
from submarine_ray.core.database import Database
from submarine_ray.core.errors import SubmarineError
from submarine_ray.core.events import Event
from submarine_ray.core.leases import Lessee
from submarine_ray.serving import decide, repository, room
from submarine_ray.serving.room import InPlace
from submarine_ray.serving.service import holder
from submarine_ray.serving.tables import EndpointRow, TrafficRow
from submarine_ray.spec.serving import EndpointStatus

log = structlog.get_logger(__name__)

CHANGING_PAUSE = 0.5
STEADY_PAUSE = 5.0


class ServingReconciler:
    """One tick brings every cluster's Serve a step closer; steady clusters are looked at every few seconds."""

    def __init__(
        self, database: Database, clusters: ClusterService, lessee: Lessee, tracking_uri: str, tokens: Tokens
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._lessee = lessee
        self._tracking_uri = tracking_uri
        self._tokens = tokens
        self._look_after: dict[str, float] = {}

    def tick(self) -> float:
        with self._database.session() as session:
            clusters = repository.clusters(session)
        pauses = [self._cluster(cluster) for cluster in clusters]
        return min(pauses, default=STEADY_PAUSE)

    def _cluster(self, cluster: str) -> float:
        if time.monotonic() < self._look_after.get(cluster, 0):
            with self._database.session() as session:
                if repository.is_steady(session, cluster):
                    return STEADY_PAUSE
        with self._database.session(write=True) as session:
            token = repository.lock(session, cluster, self._lessee)
        if token is None:
            return CHANGING_PAUSE
        try:
            self._bring_together(cluster, token)
        except (ClusterError, SubmarineError) as failure:
            log.warning("serving.cluster_unreachable", cluster=cluster, why=str(failure))
        finally:
            with self._database.session(write=True) as session:
                repository.unlock(session, cluster, token)
        self._look_after[cluster] = time.monotonic() + STEADY_PAUSE
        return CHANGING_PAUSE

    def _bring_together(self, cluster: str, token: str) -> None:
        """PUT if the cluster has something else than it shall have; note what it shows."""
        with self._database.session() as session:
            generation, rows, traffic = repository.desired(session, cluster, token)
        driver = self._clusters.driver(cluster)
        capacity = self._clusters.capacity(cluster)
        staying = [row for row in rows if row.status != EndpointStatus.DELETING]
        config = decide.configuration(
            [self._desired(row) for row in staying],
            [decide.split_of(row, staying, len(capacity.nodes)) for row in traffic],
            self._tracking_uri,
            self._clusters.serve_http_options(cluster),
            partial(self._clusters.serve_hosts, cluster),
        )
        fence = Fence(generation, decide.digest(config), partial(self._is_held, cluster, token, generation))
        serve = driver.applications()
        cramped: list[InPlace] = []
        if is_new := decide.differs(config, fence, serve):
            cramped = room.arrange(config, serve, capacity.total, self._clusters.in_use(cluster))
        elif stuck := room.stuck(serve):
            cramped = room.in_place(config, serve, stuck)
        if is_new or cramped:
            if not self._put(cluster, driver, config, fence, staying):
                return
            self._tell(cramped, staying)
            serve = driver.applications()
        self._note(cluster, rows, serve)
        self._note_traffic(traffic, serve)

    def _is_held(self, cluster: str, token: str, generation: int) -> bool:
        with self._database.session() as session:
            return repository.is_held(session, cluster, token, generation)

    def _desired(self, row: EndpointRow) -> decide.Desired:
        is_on_disk = row.model_uri.startswith("/")
        token = None if is_on_disk else self._tokens.issue(PrincipalKind.ENDPOINT, row.name)
        size = (row.replicas, row.cpu, row.gpu, row.memory)
        return decide.Desired(row.name, row.model_name, row.model_version, row.model_uri, *size, token)

    def _tell(self, cramped: list[InPlace], staying: list[EndpointRow]) -> None:
        statuses = {row.name: row.status for row in staying}
        with self._database.session(write=True) as session:
            for one in cramped:
                happened = Event("ReplacedInPlace", one.message, statuses[one.name], statuses[one.name])
                repository.tell(session, one.name, happened)
                log.info("endpoint.replaced_in_place", endpoint=one.name)

    def _put(
        self, cluster: str, driver: Driver, config: dict[str, Any], fence: Fence, staying: list[EndpointRow]
    ) -> bool:
        try:
            driver.put_applications(config, fence)
        except SubmissionRefused as failure:
            log.warning("serving.refused", why=str(failure))
            with self._database.session(write=True) as session:
                for row in staying:
                    if row.status != EndpointStatus.RUNNING:
                        repository.set_status(session, row, EndpointStatus.FAILED, str(failure))
            return False
        except Superseded as failure:
            log.warning("serving.superseded", cluster=cluster, why=str(failure))
            if failure.number is not None and fence.is_held():
                with self._database.session(write=True) as session:
                    repository.outrun(session, cluster, failure.number)
            return False
        return True

    def _note(self, cluster: str, rows: list[EndpointRow], serve: dict[str, object]) -> None:
        seen = {row.name: self._seen(cluster, row, serve) for row in rows}
        with self._database.session(write=True) as session:
            for row in rows:
                if row.status == EndpointStatus.DELETING:
                    if decide.gone(row.name, serve):
                        repository.remove(session, row.name)
                    continue
                status, message = seen[row.name]
                if (status, message) != (row.status, row.message):
                    repository.set_status(session, row, status, message)
                    log.info("endpoint.status", endpoint=row.name, to=status)

    def _note_traffic(self, traffic: list[TrafficRow], serve: dict[str, Any]) -> None:
        for row in traffic:
            status, message = decide.observed(decide.split_name(row.model_name), serve)
            if (status, message) != (row.status, row.message):
                with self._database.session(write=True) as session:
                    repository.set_traffic_status(session, row.model_name, status, message)
                log.info("traffic.status", model=row.model_name, to=status)

    def _seen(self, cluster: str, row: EndpointRow, serve: dict[str, object]) -> tuple[str, str | None]:
        """What Serve says of an endpoint; but it runs only once it answers: the proxy may start after the replicas."""
        status, message = decide.observed(row.name, serve, row.status, row.replicas)
        if room.waits(message) and self._clusters.capabilities(cluster).shares_serve:
            message = self._clusters.why_waiting(cluster, row.each, holder(row))
        if status == EndpointStatus.RUNNING and row.status != EndpointStatus.RUNNING:
            path = f"{decide.route(row.model_name, row.model_version)}/v2/health/ready"
            if not self._clusters.serve_answers(cluster, row.name, path):
                return decide.changing(row.status), "The replicas run; Serve's HTTP proxy does not answer yet."
        return status, message
