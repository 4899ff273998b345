"""What of MLflow's REST API an attempt's token opens: its run, the runs below it, their files and models.

Scripts go on as they are: a run that one makes is always below its own, and a search finds its own runs alone.
What is not listed here is closed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from submarine_ray.access.asked import Asked, Outside, Unreadable
from submarine_ray.access.reach import Attempt, Runs, Served
from submarine_ray.spec.tags import EXPERIMENT_TAG, PARENT_TAG, SWEEP_TAG

PREFIX = "/mlflow/api/2.0/mlflow/"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
SERVER_INFO = "/mlflow/api/3.0/mlflow/server-info"
_RUN_NAMES = ("run_id", "run_uuid")
_MODEL = re.compile(r"logged-models/(?P<model>[^/]+)(?P<rest>/params|/tags(?:/[^/]+)?|/artifacts/directories)?")
_MODEL_SOURCE = re.compile(r"models:/(m-[0-9a-f]{32})/?")
_RUN_SOURCE = re.compile(r"runs:/([^/]+)(?:/.*)?")
# The parser takes time by the square of what it is given.
_LONGEST_FILTER = 2000


@dataclass(frozen=True)
class Own:
    """An attempt, and the ways to find out what belongs to it."""

    attempt: Attempt
    runs: Runs

    def has_run(self, run_id: str) -> bool:
        return run_id == self.attempt.run_id or self.runs.owner(run_id) == self.attempt.experiment_id

    def has_model(self, model_id: str) -> bool:
        return self.runs.owner_of_model(model_id) == self.attempt.experiment_id

    def has_files(self, path: str) -> bool:
        return self.runs.owner_of_files(path) == self.attempt.experiment_id


Rule = Callable[[Asked, Own], None]


def _nothing_more(asked: Asked, own: Own) -> None:
    """Open as it is."""


def _own_run(asked: Asked, own: Own) -> None:
    """The run that is named belongs to the attempt, whatever field names it."""
    named = asked.said(*_RUN_NAMES)
    if not named:
        raise Outside("it names no run")
    for run_id in named:
        if not own.has_run(run_id):
            raise Outside(f"the run {run_id[:64]} is not of its experiment")
    for tag in asked.rows("tags"):
        _tag(tag.get("key"), tag.get("value"), own)


def _own_metrics(asked: Asked, own: Own) -> None:
    """Metrics of its own run, and beside it of its own models: what others' models are worth, others say."""
    _own_run(asked, own)
    for metric in (asked.body, *asked.rows("metrics")):
        for name in ("model_id", "modelId"):
            model = str(metric.get(name) or "")
            if not model or own.has_model(model):
                continue
            if not own.runs.is_registered_model(model):
                raise Outside(f"the model {model[:64]} was saved by another experiment")
            del metric[name]  # scripts evaluate registered models: their own run keeps what they found


def _own_run_in_query(asked: Asked, own: Own) -> None:
    if not asked.query:  # without one MLflow reads the body, which nobody has looked at
        raise Outside("it names no run")
    _own_run(asked, own)


def _tag(key: object, value: object, own: Own) -> None:
    """A tag that says whose a run is says the truth."""
    is_own, name = True, _stored_name(key)
    if name in _OF_EXPERIMENTS:
        is_own = value == own.attempt.experiment_id
    elif name == _OF_PARENTS:
        is_own = own.has_run(str(value))
    if not is_own:
        raise Outside(f"the tag {key} would give its run to another experiment")


def _stored_name(key: object) -> str:
    """A tag's name as MariaDB compares it: without case, accents and blanks at its end."""
    letters = unicodedata.normalize("NFKD", str(key))
    return "".join(one for one in letters if not unicodedata.combining(one)).casefold().rstrip()


_OF_EXPERIMENTS = (_stored_name(EXPERIMENT_TAG), _stored_name(SWEEP_TAG))
_OF_PARENTS = _stored_name(PARENT_TAG)


def _set_tag(asked: Asked, own: Own) -> None:
    _own_run(asked, own)
    _tag(asked.body.get("key"), asked.body.get("value"), own)


def _delete_tag(asked: Asked, own: Own) -> None:
    _own_run(asked, own)
    if _stored_name(asked.body.get("key")) in (*_OF_EXPERIMENTS, _OF_PARENTS):
        raise Outside("the tags by which its runs are found stay")


def _delete_run(asked: Asked, own: Own) -> None:
    _own_run(asked, own)
    if own.attempt.run_id in asked.said(*_RUN_NAMES):
        raise Outside("the experiment's own run goes with the experiment")


def _create_run(asked: Asked, own: Own) -> None:
    """A run that is made is below the attempt's own, whatever the script says."""
    tags = asked.rows("tags")
    for tag in tags:
        _tag(tag.get("key"), tag.get("value"), own)
    if not any(tag.get("key") in (EXPERIMENT_TAG, SWEEP_TAG, PARENT_TAG) for tag in tags):
        asked.body["tags"] = [
            *tags,
            {"key": PARENT_TAG, "value": own.attempt.run_id or ""},
            {"key": EXPERIMENT_TAG, "value": own.attempt.experiment_id},
        ]


def _search_runs(asked: Asked, own: Own) -> None:
    asked.body["filter"] = _narrow(asked, lambda text: own.runs.narrowed(text, own.attempt.experiment_id))


def _search_models(asked: Asked, own: Own) -> None:
    own_run = own.attempt.run_id or ""
    narrow = own.runs.narrowed_models
    asked.body["filter"] = _narrow(asked, lambda text: narrow(text, own.attempt.experiment_id, own_run))


def _narrow(asked: Asked, narrow: Callable[[str], str]) -> str:
    text = asked.body.get("filter") or ""
    if not isinstance(text, str) or len(text) > _LONGEST_FILTER:
        raise Unreadable(f"The filter must be a text of at most {_LONGEST_FILTER} characters.")
    try:
        return narrow(text)
    except ValueError as failure:
        raise Unreadable(str(failure)) from failure


def _outputs(asked: Asked, own: Own) -> None:
    _own_run(asked, own)
    for model in asked.rows("models"):
        if not own.has_model(str(model.get("model_id") or model.get("modelId"))):
            raise Outside("a model that another experiment saved is no output of its run")


def _create_experiment(asked: Asked, own: Own) -> None:
    if asked.said("artifact_location"):
        raise Outside("where artifacts lie is the service's to say; leave artifact_location out")


def _search_experiments(asked: Asked, own: Own) -> None:
    own_id = own.attempt.mlflow_id or ""
    asked.body["filter"] = _narrow(asked, lambda text: own.runs.narrowed_experiments(text, own_id))


def _own_experiment(asked: Asked, own: Own) -> None:
    if asked.said("experiment_id") != [own.attempt.mlflow_id]:
        raise Outside("it is another of MLflow's experiments than that of its run")


def _create_model(asked: Asked, own: Own) -> None:
    if not asked.said("source_run_id"):
        asked.body["source_run_id"] = own.attempt.run_id
    for run_id in asked.said("source_run_id"):
        if not own.has_run(run_id):
            raise Outside(f"the run {run_id[:64]} is not of its experiment")


def _create_version(asked: Asked, own: Own) -> None:
    """Register what its own runs saved."""
    named = [own.has_run(run_id) for run_id in asked.said("run_id")]
    named += [own.has_model(model_id) for model_id in asked.said("model_id")]
    if not all(named) or not _is_own_source(str(asked.body.get("source") or ""), own):
        raise Outside("it registers models that its own runs have saved, and no others")


def _is_own_source(source: str, own: Own) -> bool:
    if found := _MODEL_SOURCE.fullmatch(source):
        return own.has_model(found[1])
    if found := _RUN_SOURCE.fullmatch(source):
        return own.has_run(found[1])
    scheme, _, path = source.partition(":")
    return scheme == "mlflow-artifacts" and is_plain(path.strip("/")) and own.has_files(path.strip("/"))


def _own_version(asked: Asked, own: Own) -> None:
    names, versions = asked.said("name"), asked.said("version")
    for name in names:
        for version in versions:
            if own.runs.owner_of_version(name, version) != own.attempt.experiment_id:
                raise Outside("it changes versions that its own runs have saved, and no others")
    if not names or not versions:
        raise Outside("it names no version")


# The routes below PREFIX. Of a POST, PATCH or DELETE the JSON body is read; a GET has its query.
_ROUTES: dict[tuple[str, str], Rule] = {
    ("GET", "experiments/get"): _nothing_more,
    ("GET", "experiments/get-by-name"): _nothing_more,
    ("POST", "experiments/create"): _create_experiment,
    ("POST", "experiments/search"): _search_experiments,
    ("POST", "experiments/set-experiment-tag"): _own_experiment,
    ("POST", "runs/create"): _create_run,
    ("GET", "runs/get"): _own_run_in_query,
    ("POST", "runs/search"): _search_runs,
    ("POST", "runs/update"): _own_run,
    ("POST", "runs/delete"): _delete_run,
    ("POST", "runs/restore"): _own_run,
    ("POST", "runs/log-metric"): _own_metrics,
    ("POST", "runs/log-parameter"): _own_run,
    ("POST", "runs/set-tag"): _set_tag,
    ("POST", "runs/delete-tag"): _delete_tag,
    ("POST", "runs/log-batch"): _own_metrics,
    ("POST", "runs/log-model"): _own_run,
    ("POST", "runs/log-inputs"): _own_run,
    ("POST", "runs/outputs"): _outputs,
    ("GET", "metrics/get-history"): _own_run_in_query,
    ("GET", "artifacts/list"): _own_run_in_query,
    ("POST", "logged-models"): _create_model,
    ("POST", "logged-models/search"): _search_models,
    ("POST", "registered-models/create"): _nothing_more,
    ("POST", "registered-models/get-latest-versions"): _nothing_more,
    ("POST", "model-versions/create"): _create_version,
    ("PATCH", "model-versions/update"): _own_version,
    ("POST", "model-versions/set-tag"): _own_version,
    ("DELETE", "model-versions/delete-tag"): _own_version,
}
# What registered models are is told to everyone who may load them.
REGISTRY = frozenset(
    ("GET", route)
    for route in (
        "registered-models/get", "registered-models/search", "registered-models/get-latest-versions",
        "registered-models/alias", "model-versions/get", "model-versions/search", "model-versions/get-download-uri",
    )
)  # fmt: skip


def reads_body(asked: Asked) -> bool:
    """Whether the rules for the request need its JSON body."""
    return asked.method != "GET" and asked.path.startswith(PREFIX)


def check(asked: Asked, own: Own) -> None:
    """Raises Outside, Unreadable."""
    if asked.path.startswith(FILES):
        _files(asked, own)
        return
    route = asked.path.removeprefix(PREFIX)
    if (asked.method, asked.path) == ("GET", SERVER_INFO) or (asked.method, route) in REGISTRY:
        return
    if rule := _ROUTES.get((asked.method, route)):
        rule(asked, own)
    elif found := _MODEL.fullmatch(route):
        _model(asked, found["model"], own)
    else:
        raise Outside("")


def check_reader(asked: Asked, served: Served, runs: Runs) -> None:
    """What an endpoint reads: its own model's version. Raises Outside."""
    route = asked.path.removeprefix(PREFIX)
    if asked.method != "GET":
        raise Outside("it reads, and changes nothing")
    if (asked.method, asked.path) == ("GET", SERVER_INFO):
        return
    if (asked.method, route) in REGISTRY:
        if set(asked.said("name")) != {served.model_name}:
            raise Outside(f"it reads the model {served.model_name!r} alone")
    elif asked.path.startswith(FILES):
        if not all(runs.is_served(path, served) for path in file_paths(asked)):
            raise Outside(f"it reads the files of version {served.model_version} of {served.model_name!r} alone")
    elif (found := _MODEL.fullmatch(route)) is None or not runs.is_served_model(found["model"], served):
        raise Outside("")


def _files(asked: Asked, own: Own) -> None:
    paths = file_paths(asked)
    if all(own.has_files(path) for path in paths):
        return
    if asked.method == "GET" and all(own.runs.is_registered(path) for path in paths):
        return
    raise Outside("these files are not of its experiment's runs")


def file_paths(asked: Asked) -> list[str]:
    """What a request for files names, below the artifact root, as MLflow will read it. Raises Outside."""
    below = asked.path.removeprefix(FILES).removeprefix("/")
    if asked.method not in ("GET", "PUT", "DELETE") or (below and asked.query.get("path")):
        raise Outside("")
    found = [below] if below else asked.query.get("path", [])
    if not found or not all(map(is_plain, found)):
        raise Outside("it names no files, or names them by a path that leads elsewhere")
    return found


def is_plain(path: str) -> bool:
    """Whether a path means what it says: MLflow decodes it again and again before it looks."""
    decoded = path
    while (once := unquote(decoded)) != decoded:
        decoded = once
    # Only the part that names the run decides whose it is: there nothing may be encoded.
    parts = decoded.split("/")
    return ".." not in parts and "" not in parts[:-1] and decoded.split("/")[:3] == path.split("/")[:3]


def _model(asked: Asked, model_id: str, own: Own) -> None:
    if own.has_model(model_id):
        return
    if asked.method == "GET" and own.runs.is_registered_model(model_id):
        return
    raise Outside("the model was saved by another experiment, and is not registered")
