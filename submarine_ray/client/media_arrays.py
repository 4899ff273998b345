"""Arrays and tensors of any library as NumPy's."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def array(value: Any) -> Any:
    """`value` as a NumPy array. Raises TypeError, ValueError: it is none, or has no numbers."""
    import numpy as np

    if callable(detach := getattr(value, "detach", None)):  # PyTorch; it may be on a GPU
        value = detach().cpu()
        if str(value.dtype) in ("torch.bfloat16", "torch.float16"):
            value = value.float()
    if not isinstance(value, np.ndarray) and callable(numpy := getattr(value, "numpy", None)):  # TensorFlow, PyTorch
        value = numpy()
    try:
        found = np.asarray(value)
    except (TypeError, ValueError) as failure:
        raise ValueError(f"a {type(value).__name__} is not an array of numbers: {failure}") from failure
    if found.dtype.kind not in "buif":
        raise TypeError(f"a {type(value).__name__} is not an array of numbers (its type is {found.dtype})")
    if found.size == 0:
        raise ValueError("it is empty")
    if found.dtype.kind == "f" and found.dtype.itemsize < 4:
        found = found.astype(np.float32)
    return found


def as_path(value: Any) -> Path | None:
    """`value` as a path of a file, if it is one. Raises FileNotFoundError, ValueError."""
    if not isinstance(value, str | Path):
        return None
    path = Path(value)
    if not path.exists():
        raise FileNotFoundError(2, "there is no such file", str(path))
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    return path
