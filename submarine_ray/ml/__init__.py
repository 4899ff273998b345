"""Ready models for click-through rates, as in Submarine's ml library: DeepFM, FM and AFM, in PyTorch.

    from submarine_ray.ml import DeepFM

    model = DeepFM(json_path="deepfm.json")
    model.train()
    print(model.evaluate())

Importing this pulls in neither torch nor Ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from submarine_ray.ml.model import AFM, FM, DeepFM

__all__ = ["AFM", "FM", "DeepFM"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'submarine_ray.ml' has no attribute {name!r}")
    from submarine_ray.ml import model

    return getattr(model, name)
