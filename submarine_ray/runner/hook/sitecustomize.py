"""Python imports this before a script begins; then the one that would have been imported without it."""

import os
import sys
from importlib.machinery import PathFinder

try:
    import submarine_mlflow  # type: ignore[import-not-found]  # beside this file, which is in sys.path

    submarine_mlflow.install()
except SyntaxError:  # a Python before 3.7, which scripts may start too
    pass

# No pathlib or importlib.util: their imports would cost each process milliseconds.
_here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_others = [entry for entry in sys.path if os.path.abspath(entry or ".") != _here]  # noqa: PTH100
_spec = PathFinder.find_spec("sitecustomize", _others)
if _spec is not None and _spec.loader is not None:
    _module = type(sys)("sitecustomize")
    _module.__spec__, _module.__file__, _module.__package__ = _spec, _spec.origin, _spec.parent
    if _spec.submodule_search_locations is not None:
        _module.__path__ = _spec.submodule_search_locations
    sys.modules["sitecustomize"] = _module
    _spec.loader.exec_module(_module)
