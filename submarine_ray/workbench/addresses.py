"""Where things have their pages; names may hold anything, so they are quoted here alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlencode

MAX_COMPARED = 100
LOG_AXES = "log"
METRIC, DIFFERENCES = "metric", "differences"  # of the page of comparisons: a curve each, and rows that differ


def experiment(experiment_id: str, **parts: str | int | None) -> str:
    """`parts` of the page, such as its tab and the attempt; those that are None are left out."""
    said = {name: value for name, value in parts.items() if value is not None}
    return f"/experiments/{quote(experiment_id, safe='')}" + (f"?{urlencode(said)}" if said else "")


def media(experiment_id: str, name: str) -> str:
    """The content of an image, a table or the like that an experiment logged."""
    return f"/api/v1/experiment/{quote(experiment_id, safe='')}/media/{quote(name, safe='')}"


def trial(experiment_id: str, trial_id: str, attempt: int | None = None) -> str:
    """The page of a sweep's trial."""
    which = f"?attempt={attempt}" if attempt else ""
    return f"{experiment(experiment_id)}/trials/{quote(trial_id, safe='')}{which}"


def experiments(**filters: str | Sequence[str]) -> str:
    """The table of experiments, filtered; a filter may have several values."""
    said = {name: value for name, value in filters.items() if value}
    return "/experiments" + (f"?{urlencode(said, doseq=True)}" if said else "")


def experiments_csv(filter: str, sort: str, shown: Sequence[str]) -> str:
    """A table of experiments as a file with these columns."""
    said = {"filter": filter, "sort": sort, "shown": shown}
    return f"/api/v1/experiment/table.csv?{urlencode({n: v for n, v in said.items() if v}, doseq=True)}"


def attempt(experiment_id: str, number: int | None) -> str:
    """How the page of comparisons names an attempt: `experiment@2`; None is the current one."""
    return f"{experiment_id}@{number}" if number else experiment_id


def compare(ids: Iterable[str], metrics: Iterable[str] | None = None, only_differences: bool = False) -> str:
    """Experiments side by side, or attempts (`experiment@2`), or trials of either (`experiment/trial`).

    `metrics`: those whose curves are drawn; None leaves the choice to the page.
    """
    said = [("ids", ",".join(ids))]
    if metrics is not None:
        said += [(METRIC, key) for key in metrics] or [(METRIC, "")]
    if only_differences:
        said.append((DIFFERENCES, "1"))
    return f"/compare?{urlencode(said)}"


def cluster(name: str) -> str:
    return f"/clusters/{quote(name, safe='')}"


def dashboard(cluster_name: str) -> str:
    """The cluster's Ray dashboard, which this service forwards to."""
    return f"/ray/{quote(cluster_name, safe='')}/"


def tensorboard(experiment_id: str) -> str:
    """TensorBoard with an experiment's own runs alone: those in its directory."""
    return f"/tensorboard/?{urlencode({'runFilter': f'^{experiment_id}(/|$)'})}#timeseries"


def template(name: str) -> str:
    return f"/templates/{quote(name, safe='')}"


def model(name: str, version: int | None = None) -> str:
    return f"/models/{quote(name, safe='')}" + (f"/{version}" if version else "")


def model_versions(name: str, versions: Sequence[int]) -> str:
    """A model's page with these versions side by side."""
    return f"{model(name)}?versions={','.join(map(str, versions))}"


def endpoint(model_name: str, version: int) -> str:
    return f"/endpoints/{quote(model_name, safe='')}/{version}"


def traffic(model_name: str) -> str:
    """The page of a model's shared URL."""
    return f"/endpoints/{quote(model_name, safe='')}"


def report(id: str, edit: bool = False) -> str:
    """A report, to read or to write."""
    return f"/reports/{quote(id, safe='')}" + ("?edit=1" if edit else "")
