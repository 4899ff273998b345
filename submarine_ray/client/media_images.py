"""Images and figures as files: PNG, with the preview that MLflow's pages look for; plotly's as HTML."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from submarine_ray.client.media import Encoded
from submarine_ray.client.media_arrays import array, as_path
from submarine_ray.spec.spool.media import MAX_BYTES, MAX_PIXELS, PLOTLY_BEGIN, PLOTLY_END

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW_PIXELS = 256  # on the longer side, as MLflow has it
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_PNG = b"\x89PNG\r\n\x1a\n"
_LEVEL = 3  # of compression: the usual 6 takes three times as long, for a tenth of the size
# As MLflow and plotly itself write it; the workbench reads the data and draws them with a plotly of its own.
_PLOTLY = (
    '<!doctype html><meta charset="utf-8"><script src="https://cdn.plot.ly/plotly-3.0.1.min.js"></script>'
    '<div id="figure" style="height:96vh"></div>{begin}{data}{end}<script>const one = JSON.parse(document'
    '.getElementById("data").textContent); Plotly.newPlot("figure", one.data, one.layout, {{responsive: true}});'
    "</script>"
)


def image(value: Any) -> Encoded:
    """An image as PNG. Raises TypeError, ValueError, OSError."""
    if (path := as_path(value)) is not None:
        if path.stat().st_size > 4 * MAX_BYTES:
            raise ValueError(f"{path} is too large for an image")
        content = path.read_bytes()
        return _encoded(_opened(content, str(path)), content if content.startswith(_PNG) else None)
    if callable(getattr(value, "save", None)) and hasattr(value, "mode"):
        return _encoded(value)
    return _encoded(_of_array(value))


def figure(value: Any) -> Encoded:
    """A figure of matplotlib as PNG, of plotly as HTML. Raises TypeError, ValueError."""
    if callable(to_json := getattr(value, "to_json", None)) and hasattr(value, "to_plotly_json"):
        data = str(to_json()).replace("</", "<\\/")
        return Encoded(_PLOTLY.format(begin=PLOTLY_BEGIN, data=data, end=PLOTLY_END).encode(), "html")
    if not hasattr(value, "savefig") and callable(of := getattr(value, "get_figure", None)):  # axes
        value = of()
    if not callable(savefig := getattr(value, "savefig", None)):
        raise TypeError(f"a {type(value).__name__} is not a figure of matplotlib or plotly")
    written = io.BytesIO()
    savefig(written, format="png")
    content = written.getvalue()
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    return Encoded(content, "png", width=width, height=height)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as failure:
        raise ValueError("images need Pillow: pip install pillow") from failure
    return Image


def _opened(content: bytes, name: str) -> Any:
    try:
        found = _pillow().open(io.BytesIO(content))
        found.load()
    except (OSError, SyntaxError, _pillow().DecompressionBombError) as failure:
        raise ValueError(f"{name} is not an image that can be read: {failure}") from failure
    return found


def _encoded(found: Image, content: bytes | None = None) -> Encoded:
    """`content` is the image as PNG, where it is there already."""
    width, height = found.size
    if not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS):
        raise ValueError(f"it has {width} × {height} pixels; a side has 1 to {MAX_PIXELS}")
    if content is None:
        if found.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):
            found = found.convert("RGB")
        written = io.BytesIO()
        found.save(written, format="png", compress_level=_LEVEL)
        content = written.getvalue()
    scale = PREVIEW_PIXELS / max(width, height)
    small = found.convert("RGBA" if found.mode in ("LA", "RGBA", "P") else "RGB")
    small = small.resize((max(1, int(width * scale)), max(1, int(height * scale))))
    written = io.BytesIO()
    try:
        small.save(written, format="webp")
    except (OSError, KeyError):  # a Pillow without WebP: the whole image is shown
        return Encoded(content, "png", b"", width, height)
    return Encoded(content, "png", written.getvalue(), width, height)


def _of_array(value: Any) -> Any:
    import numpy as np

    found = array(value)
    if found.ndim == 3 and found.shape[2] not in _CHANNELS and found.shape[0] in _CHANNELS:
        found = np.moveaxis(found, 0, 2)  # as PyTorch has them
    elif found.ndim == 3 and hasattr(value, "detach") and found.shape[0] in _CHANNELS and found.shape[2] > 4:
        found = np.moveaxis(found, 0, 2)
    if found.ndim == 3 and found.shape[2] == 1:
        found = found[:, :, 0]
    if found.ndim != 2 and (found.ndim != 3 or found.shape[2] not in _CHANNELS):
        shape = " × ".join(map(str, found.shape))
        more = "; log each image of a batch by itself" if found.ndim == 4 else ""
        raise ValueError(f"its shape is {shape}; an image is height × width, with 1, 3 or 4 channels{more}")
    return _pillow().fromarray(np.ascontiguousarray(_bytes(found)))


def _bytes(found: Any) -> Any:
    """Values as bytes. Whole numbers have to be bytes; floats are 0 to 1, or are scaled to their own range."""
    import numpy as np

    if found.dtype == np.uint8:
        return found
    if found.dtype.kind == "b":
        return found.astype(np.uint8) * 255
    low, high = float(found.min()), float(found.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it has NaN or infinite values")
    if found.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise ValueError(f"its whole numbers go from {low:g} to {high:g}; those of an image go from 0 to 255")
        return found.astype(np.uint8)
    if low < 0 or high > 1:
        found = (found - low) / ((high - low) or 1.0)
    return (found * 255 + 0.5).astype(np.uint8)
