"""`import submarine`, for scripts written for Apache Submarine: this project's API under the name they know.

The runner puts it on a replica's path where the real package is not installed.
"""

from typing import Any

import submarine_ray


def __getattr__(name: str) -> Any:
    return getattr(submarine_ray, name)
