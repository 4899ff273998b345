"""scikit-learn's models with code of the user's own in them: a FunctionTransformer's function, a transformer's class.

An endpoint has neither the script nor what lies beside it. skops writes down where code is imported from: what is in a
module beside the script travels with the model, and what cannot be imported (the script's own, a lambda) is pickled.
"""

from __future__ import annotations

import pickle
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


@contextmanager
def as_it_can_be_loaded(model: Any) -> Iterator[dict[str, Any]]:
    """The arguments of `mlflow.sklearn.log_model` that say how, and what travels along; it is there inside of it."""
    from submarine_ray.client import files, neighbours

    own, why_not = _own_types(model)
    if why_not:
        import cloudpickle

        print(f"[submarine] save_model: {why_not}: it is saved as a pickle, with that code in it", flush=True)
        arguments: dict[str, Any] = {"serialization_format": "cloudpickle"}
        tree = neighbours.found(cloudpickle.dumps(model))
    else:
        arguments = {"skops_trusted_types": own}
        tree = neighbours.found(pickle.dumps(own))
    with TemporaryDirectory() as directory:
        files.copy(tree, Path(directory))
        yield arguments | {"code_paths": [str(path) for path in sorted(Path(directory).iterdir())] or None}


def _own_types(model: Any) -> tuple[list[str], str]:
    """The types of this very model that skops does not know: whoever saves it vouches for what it consists of.

    And why skops cannot write the model so that an endpoint reads it; empty if it can.
    """
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        own = list(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    except UnsupportedTypeException as failure:
        return [], str(failure).rstrip(".")
    script = [name for name in own if not _is_importable(name)]
    return own, f"the model uses {', '.join(script)}, which an endpoint cannot import" if script else ""


def _is_importable(name: str) -> bool:
    """Whether another process finds it: in a module, by its name."""
    if name.partition(".")[0] == "__main__":
        return False
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return True
