"""HTTP: /api/v1/experiment."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask

from submarine_ray.access.callers import caller
from submarine_ray.core.envelope import Reply, ok
from submarine_ray.core.known import known_first
from submarine_ray.core.paging import MAX_LIMIT, MAX_PAGE
from submarine_ray.experiments import export, log_endpoints, media_endpoints, sweep_endpoints
from submarine_ray.experiments.listing import read_grouping, read_query
from submarine_ray.experiments.log_endpoints import NO_SNIFFING, Number
from submarine_ray.experiments.service import MAX_WAIT_SECONDS, ExperimentService
from submarine_ray.spec.answers.base import NumberedPage, Page
from submarine_ray.spec.answers.events import Event
from submarine_ray.spec.answers.experiments import (
    Attempt,
    Experiment,
    ExperimentTableRow,
    Metric,
    Param,
    Trial,
)
from submarine_ray.spec.answers.groups import ExperimentGroup
from submarine_ray.spec.answers.provenance import Provenance
from submarine_ray.spec.bulk import BulkChange, BulkResult
from submarine_ray.spec.experiment import ExperimentSpec
from submarine_ray.spec.expressions import MAX_LENGTH, MAX_SORT
from submarine_ray.spec.ledger import Beginning
from submarine_ray.spec.provenance import ProvenanceReport

FilterText = Annotated[str, Query(max_length=MAX_LENGTH)]
SortText = Annotated[str, Query(max_length=MAX_SORT)]
Columns = Annotated[Sequence[str], Query()]


def router(experiments: ExperimentService) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/experiment", tags=["experiment"], route_class=known_first(experiments.get))
    log_endpoints.add(routes, experiments)
    _add_tracking(routes, experiments)
    sweep_endpoints.add(routes, experiments.sweeps)
    media_endpoints.add(routes, experiments)

    @routes.get("/tensorboard", summary="Get the address of TensorBoard")
    def tensorboard() -> Reply[Page]:
        return ok(Page(available=experiments.results.has_tensorboard, url="/tensorboard/"))

    @routes.get("/mlflow", summary="Get the address of MLflow")
    def mlflow() -> Reply[Page]:
        return ok(Page(available=experiments.results.has_tracking, url="/mlflow/"))

    @routes.get("/ping", summary="Ping the experiment API")
    def ping() -> Reply[str]:
        return ok("Pong")

    @routes.post("", summary="Create an experiment")
    def create(
        spec: ExperimentSpec, clone_of: Annotated[str | None, Query(alias="cloneOf")] = None
    ) -> Reply[Experiment]:
        return ok(experiments.create(spec, clone_of))

    @routes.get("", summary="List experiments, newest first")
    def list_page(
        status: str | None = None,
        state: str | None = None,
        tag: str | None = None,
        page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
        page_size: Annotated[int | None, Query(alias="pageSize", ge=1, le=MAX_LIMIT)] = None,
        limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT)] = None,
        cursor: str | None = None,
    ) -> Reply[list[Experiment]]:
        if limit is None:
            found, attributes = experiments.page(status, tag, page, page_size, state)
        else:
            found, attributes = experiments.page_after(status, tag, limit, cursor, state)
        return ok(found, attributes=attributes)

    @routes.get("/table", summary="List experiments as a table, filtered and sorted by what they logged")
    def table(
        filter: FilterText = "",
        sort: SortText = "",
        columns: Columns = (),
        page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
        page_size: Annotated[int, Query(alias="pageSize", ge=1, le=MAX_LIMIT)] = 50,
    ) -> Reply[list[ExperimentTableRow]]:
        rows, total = experiments.table.page(read_query(filter, sort, columns), page, page_size)
        return ok(rows, attributes=NumberedPage(total=total, page=page, page_size=page_size))

    @routes.get("/table.csv", summary="Download a table of experiments", response_class=StreamingResponse)
    def table_csv(filter: FilterText = "", sort: SortText = "", columns: Columns = (), shown: Columns = ()) -> Response:
        query = read_query(filter, sort, export.logged(shown) if shown else columns)
        lines = export.lines(experiments.table, query, shown)
        name = {"Content-Disposition": 'attachment; filename="experiments.csv"'}
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=NO_SNIFFING | name)

    @routes.get("/groups", summary="List groups of experiments, with the mean and range of what they logged")
    def groups(
        by: Annotated[str, Query(max_length=MAX_SORT)],
        filter: FilterText = "",
        sort: SortText = "",
        columns: Columns = (),
        page: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 1,
        page_size: Annotated[int, Query(alias="pageSize", ge=1, le=MAX_LIMIT)] = 50,
    ) -> Reply[list[ExperimentGroup]]:
        query, field = read_query(filter, sort, columns), read_grouping(by)
        rows, total = experiments.groups.page(query, field, page, page_size)
        return ok(rows, attributes=NumberedPage(total=total, page=page, page_size=page_size))

    @routes.patch("", summary="Tag, stop or delete many experiments")
    def bulk(change: BulkChange) -> Reply[BulkResult]:
        query = read_query(change.filter, "", ()) if change.filter else None
        return ok(experiments.bulk.change(change, query))

    @routes.get("/field", summary="List the names of parameters and metrics")
    def fields(contains: Annotated[str, Query(max_length=250)] = "") -> Reply[list[str]]:
        return ok([str(field) for field in experiments.table.fields(contains)])

    @routes.get("/{experiment_id}", summary="Get an experiment")
    def get(experiment_id: str) -> Reply[Experiment]:
        return ok(experiments.get(experiment_id))

    @routes.get("/{experiment_id}/end", summary="Wait for the end of an experiment")
    async def end(
        experiment_id: str,
        wait: Annotated[
            float, Query(ge=0, le=MAX_WAIT_SECONDS, description="The longest time to wait, in seconds.")
        ] = 20,
    ) -> Reply[Experiment]:
        return ok(await experiments.ended(experiment_id, wait))

    @routes.patch("/{experiment_id}", summary="Change an experiment, or run a new spec as its next attempt")
    def patch(experiment_id: str, spec: ExperimentSpec, rerun: bool = False) -> Reply[Experiment]:
        return ok(experiments.patch(experiment_id, spec, rerun))

    @routes.delete("/{experiment_id}", summary="Delete an experiment")
    def delete(experiment_id: str) -> Reply[Experiment]:
        return ok(experiments.delete(experiment_id))

    @routes.post("/{experiment_id}/tag", summary="Add a tag to an experiment")
    def add_tag(experiment_id: str, tag: str) -> Reply[Experiment]:
        return ok(experiments.tag(experiment_id, tag, True))

    @routes.delete("/{experiment_id}/tag", summary="Remove a tag from an experiment")
    def remove_tag(experiment_id: str, tag: str) -> Reply[Experiment]:
        return ok(experiments.tag(experiment_id, tag, False))

    @routes.post("/{experiment_id}/stop", summary="Stop a running experiment")
    def stop(experiment_id: str) -> Reply[Experiment]:
        return ok(experiments.stop(experiment_id))

    @routes.post(
        "/{experiment_id}/begin",
        summary="Ask whether an attempt may begin; for runners",
    )
    def begin(
        experiment_id: str,
        submission: Annotated[str, Query(max_length=128)],
        run: Annotated[str, Query(min_length=1, max_length=64)],
        request: Request,
    ) -> Reply[Beginning]:
        return ok(experiments.ledger.begin(experiment_id, submission, run, caller(request)))

    @routes.post("/{experiment_id}/provenance", summary="Store what an attempt runs with; for runners")
    def put_provenance(
        experiment_id: str, submission: Annotated[str, Query(max_length=128)], report: ProvenanceReport
    ) -> Reply[None]:
        experiments.provenance.put(experiment_id, submission, report)
        return ok(None)

    @routes.get("/{experiment_id}/provenance", summary="Get the commit and the packages that an attempt ran with")
    def provenance(experiment_id: str, attempt: Number = None) -> Reply[Provenance]:
        return ok(experiments.provenance.get(experiment_id, attempt))

    @routes.get("/{experiment_id}/attempts", summary="List the experiment's attempts, the first one first")
    def attempts(experiment_id: str) -> Reply[list[Attempt]]:
        return ok(experiments.attempts.all(experiment_id))

    @routes.get("/{experiment_id}/events", summary="List the experiment's events")
    def history(experiment_id: str) -> Reply[list[Event]]:
        return ok(experiments.history(experiment_id))

    return routes


def _add_tracking(routes: APIRouter, experiments: ExperimentService) -> None:
    @routes.get("/{experiment_id}/metrics", summary="List the metrics of each replica")
    def metrics(experiment_id: str, key: str | None = None, attempt: Number = None) -> Reply[list[Metric]]:
        return ok(experiments.results.metrics(experiment_id, key, attempt))

    @routes.get("/{experiment_id}/params", summary="List the parameters of each replica")
    def params(experiment_id: str, attempt: Number = None) -> Reply[list[Param]]:
        return ok(experiments.results.params(experiment_id, attempt))

    @routes.get("/{experiment_id}/trials", summary="List a sweep's trials, best first")
    def trials(experiment_id: str, attempt: Number = None) -> Reply[list[Trial]]:
        found, attributes = experiments.results.trials(experiment_id, attempt)
        return ok(found, attributes=attributes)

    @routes.get("/{experiment_id}/trials/{trial_id}", summary="Get a trial of a sweep")
    def trial(experiment_id: str, trial_id: str, attempt: Number = None) -> Reply[Trial]:
        return ok(experiments.results.trial(experiment_id, trial_id, attempt))

    @routes.get(
        "/artifacts/{experiment_id}",
        summary="List the saved models, or with `path` a directory of the artifacts",
    )
    def artifacts(experiment_id: str, path: str | None = None, attempt: Number = None) -> Reply[list[str]]:
        found = experiments.results.artifacts(experiment_id, path or "", attempt)
        if path is not None:
            return ok([f"{item.path}/" if item.is_dir else item.path for item in found])
        # Submarine's form, which its SDK hands on as `base_dir`; then the files that lie beside no model.
        models = experiments.results.saved_models(experiment_id, attempt)
        saved = [f"s3://submarine/experiment/{experiment_id}/{number}/" for number in range(1, models + 1)]
        return ok([*saved, *(item.path for item in found if not item.is_dir)])

    @routes.get(
        "/{experiment_id}/artifact",
        summary="Download an artifact",
        response_class=FileResponse,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    def artifact(experiment_id: str, path: str, attempt: Number = None) -> Response:
        opened = ExitStack()
        file = opened.enter_context(experiments.results.artifact(experiment_id, path, attempt))
        # An attachment of an opaque type: an artifact is never shown as a page of this origin.
        return FileResponse(
            file,
            filename=path.rsplit("/", 1)[-1],
            media_type="application/octet-stream",
            headers=NO_SNIFFING,
            background=BackgroundTask(opened.close),
        )
