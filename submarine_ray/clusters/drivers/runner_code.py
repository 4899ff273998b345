"""This project's own runner as a package, for clusters that lack it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from submarine_ray.spec.zips import zipped

# What the runner needs in the cluster, beside the applications that Serve runs; the control plane stays here.
RUNNER_PARTS = ("spec", "client", "runner", "ml")


@functools.cache
def runner_code() -> tuple[str, bytes]:
    """The name and zip of the runner's own modules."""
    root = Path(__file__).parent.parent.parent
    directories = [*(root / part for part in RUNNER_PARTS), root.parent / "serve_apps"]
    found = [path for directory in directories for path in sorted(directory.rglob("*"))]
    files = [root / "__init__.py", *(path for path in found if path.suffix in (".py", ".ipynb"))]
    content = zipped((str(file.relative_to(root.parent)), file.read_bytes()) for file in files)
    return hashlib.sha256(content).hexdigest(), content
