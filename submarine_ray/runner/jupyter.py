"""`python -m submarine_ray.runner.jupyter`: JupyterLab, started in half the time."""

from __future__ import annotations

import sys

# Compiles a grammar for 0.8 s as it is imported, to check the format "iri" in JSON schemas of Jupyter's events, which
# have none. jsonschema goes on without it where it is not installed (jsonschema/_format.py).
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

if __name__ == "__main__":
    from jupyterlab.labapp import main

    sys.exit(main())
