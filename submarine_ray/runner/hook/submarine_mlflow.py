"""Lets scripts that choose an MLflow experiment or server of their own run unmodified in a replica.

MLFLOW_RUN_ID makes the experiment's run MLflow's current one. MLflow itself then refuses to start it after
`set_experiment`, for it is in another MLflow experiment, and with another tracking server, which does not know it. So
`set_experiment` keeps to the run's own (further runs of a script are made below that one: MLFLOW_RUN_CONTEXT), and with
another server the variables that belong to this one are removed. An artifact whose name MLflow alters is told of.

Imported in every Python process of a replica, whatever Python that is: standard library only, no newer syntax, and
nothing is done before MLflow is imported.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as type checkers know it; the module of this name would cost each process its import
if TYPE_CHECKING:
    from typing import Any

_URI, _EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"
_OWN = ("MLFLOW_RUN_ID", _EXPERIMENT, "MLFLOW_RUN_CONTEXT")
_away: dict[str, str] = {}
_uri = ""


def install() -> None:
    """Have MLflow patched as soon as it is imported, if this process belongs to a run."""
    global _uri
    if not (os.environ.get(_URI) and os.environ.get(_EXPERIMENT)):
        return
    _uri = os.environ[_URI].rstrip("/")
    _away.clear()
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])


class _Finder:
    """Finds nothing by itself: it patches what others find."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        patch = _PATCHES.get(name)
        if patch is None:
            return None
        finders = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in finders)), None)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            load = loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                patch(module)

            loader.exec_module = exec_module
        return spec


def _can_wrap(module: Any, name: str) -> bool:
    """Whether an MLflow of any version has the function, and it is not wrapped yet."""
    return hasattr(module, name) and not hasattr(getattr(module, name), "__wrapped__")


def _patch_utils(module: Any) -> None:
    if not _can_wrap(module, "set_tracking_uri"):
        return
    import functools

    original = module.set_tracking_uri

    @functools.wraps(original)
    def set_tracking_uri(uri: Any) -> None:
        original(uri)
        _follow(module.get_tracking_uri())

    module.set_tracking_uri = set_tracking_uri
    _follow(os.environ.get(_URI, ""))  # a script may have set it before it imported MLflow


def _follow(uri: str) -> None:
    """Put the variables away that belong to this platform's server while MLflow uses another one."""
    if uri.rstrip("/") == _uri:
        os.environ.update(_away)
        _away.clear()
        return
    for name in _OWN:
        if name in os.environ:
            _away[name] = os.environ.pop(name)


def _patch_fluent(module: Any) -> None:
    if not _can_wrap(module, "set_experiment"):
        return
    import functools

    original = module.set_experiment

    @functools.wraps(original)
    def set_experiment(experiment_name: Any = None, experiment_id: Any = None, **more: Any) -> Any:
        if _away or not os.environ.get(_EXPERIMENT):
            return original(experiment_name, experiment_id, **more)
        own = os.environ[_EXPERIMENT]
        found = original(experiment_id=own, **more)
        asked = experiment_id if experiment_name is None else experiment_name
        if asked not in (own, found.name):
            print(
                "[submarine] mlflow.set_experiment({!r}): this script's runs belong to the experiment {} here, "
                "MLflow shows them in {!r}".format(asked, os.environ.get("SUBMARINE_EXPERIMENT_ID"), found.name),
                flush=True,
            )
        return found

    module.set_experiment = set_experiment


def _patch_http_artifacts(module: Any) -> None:
    repository: Any = getattr(module, "HttpArtifactRepository", None)
    original = getattr(repository, "log_artifact", None)
    if original is None or hasattr(original, "__wrapped__"):
        return
    import functools
    from pathlib import PurePath

    @functools.wraps(original)
    def log_artifact(self: Any, local_file: Any, artifact_path: Any = None) -> Any:
        name = "/".join(filter(None, (artifact_path, PurePath(local_file).name)))
        stored = _as_it_is_stored(name)
        if stored != name:
            print(
                f"[submarine] MLflow stores the artifact {name!r} as {stored!r}: its client ends a name at '#' and "
                "'?', and decodes '%41'; what had that name is replaced",
                flush=True,
            )
        return original(self, local_file, artifact_path)

    repository.log_artifact = log_artifact


def _as_it_is_stored(name: str) -> str:
    """What remains of a name that MLflow's client puts into a URL as it is."""
    import re
    from urllib.parse import unquote

    from requests.utils import requote_uri

    try:
        return unquote(requote_uri(re.split("[#?]", name, maxsplit=1)[0]))
    except ValueError:  # no Unicode: MLflow says so itself
        return name


_PATCHES = {
    "mlflow.store.artifact.http_artifact_repo": _patch_http_artifacts,
    "mlflow.tracking._tracking_service.utils": _patch_utils,
    "mlflow.tracking.fluent": _patch_fluent,
}
